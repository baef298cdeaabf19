/** The forward part of a training graph as a chain of stages. */
import { opDefinition, type Value } from "../../../compiler/core/index.js";
import type { Chain, Segment, SegmentCost } from "./placement.js";
import type { Slot, Tape } from "./tape.js";

/** More stages than this are joined: planning takes time that grows with the square. */
const STAGES = 96;
/** Thresholds between keeping all and dropping all. */
const LEVELS = 6;

export interface TapeChain extends Chain {
  /** First forward op of each stage, and the number of forward ops at the end. */
  readonly starts: readonly number[];
  /** What segments do not keep. */
  dropped(segments: readonly Segment[]): ReadonlySet<Value>;
}

/**
 * Stages: stretches between the places where a single activation goes on, such as residual blocks, the attention and the feed-forward half of a transformer layer,
 * or the layers of a plain chain; each holds at least one op with multiply-accumulates. Where that leaves one stretch with most of the memory (long skip connections),
 * they are cut wherever less goes on than before and behind. Modes: 0 keeps all that is read in backward, the last one nothing but what other segments read; those between drop results that are
 * cheap to make again for their size, up to a threshold (selective recomputation, Korthikanti et al. 2022).
 */
export function chainOf(tape: Tape): TapeChain {
  const starts = stagesOf(tape);
  const thresholds = [0, ...levelsOf(tape), Number.POSITIVE_INFINITY];
  const slots = [...tape.slots.values()];
  const known = new Map<string, SegmentCost>();
  const firstSlot = starts.map((at) => slots.findIndex((s) => s.at >= at)).map((i) => (i < 0 ? slots.length : i));
  const inside = (from: number, to: number): readonly Slot[] => slots.slice(firstSlot[from], firstSlot[to]);
  return {
    starts,
    stages: starts.length - 1,
    modes: thresholds.length,
    cost(from, to, mode) {
      const key = `${from} ${to} ${mode}`;
      const cost = known.get(key) ?? segmentCost(tape, inside(from, to), starts[to] as number, thresholds[mode] as number);
      known.set(key, cost);
      return cost;
    },
    dropped: (segments) =>
      new Set(
        segments.flatMap(({ from, to, mode }) =>
          inside(from, to)
            .filter((s) => isDropped(tape, s, starts[to] as number, thresholds[mode] as number))
            .map((s) => s.value),
        ),
      ),
  };
}

const timePerByte = (tape: Tape, s: Slot): number => (tape.time[s.at] as number) / Math.max(1, s.bytes);

/** Whether a result of a segment that ends before op `end` is made again rather than kept. A view goes with the bytes that it shows. */
function isDropped(tape: Tape, s: Slot, end: number, threshold: number): boolean {
  const op = tape.forward[s.at];
  if (s.output || s.lastRead >= end || threshold === 0 || op === undefined || op.regions.length > 0 || opDefinition(op.kind)?.impure === true)
    return false;
  return s.of === null ? timePerByte(tape, s) <= threshold : isDropped(tape, s.of, end, threshold);
}

function segmentCost(tape: Tape, slots: readonly Slot[], end: number, threshold: number): SegmentCost {
  const own = new Set(slots);
  const wanted = new Set<Slot>();
  const again = new Set<number>();
  const waiting = slots.filter((s) => s.saved || s.lastRead >= end);
  let [kept, full, time] = [0, 0, 0];
  for (let s = waiting.pop(); s !== undefined; s = waiting.pop()) {
    if (wanted.has(s)) continue;
    wanted.add(s);
    full += s.bytes;
    if (!isDropped(tape, s, end, threshold)) {
      kept += s.bytes;
      if (s.of !== null && own.has(s.of)) waiting.push(s.of);
      continue;
    }
    if (!again.has(s.at)) time += tape.time[s.at] as number;
    again.add(s.at);
    for (const v of tape.forward[s.at]?.inputs ?? []) {
      const x = v === null ? undefined : tape.slots.get(v);
      if (x !== undefined && own.has(x)) waiting.push(x);
    }
  }
  return { kept, full, time };
}

/** Thresholds of time per byte, in steps of two, that tell results of the tape apart. */
function levelsOf(tape: Tape): number[] {
  const largest = Math.max(...[...tape.slots.values()].map((s) => s.bytes));
  const ratios = [...tape.slots.values()]
    .filter((s) => s.saved && s.bytes * 64 >= largest)
    .map((s) => 2 ** Math.ceil(Math.log2(timePerByte(tape, s))));
  const distinct = [...new Set(ratios)].sort((a, b) => a - b).slice(0, -1);
  if (distinct.length <= LEVELS) return distinct;
  return Array.from({ length: LEVELS }, (_, i) => distinct[Math.round((i * (distinct.length - 1)) / (LEVELS - 1))] as number);
}

function stagesOf(tape: Tape): number[] {
  const length = tape.forward.length;
  const [count, bytes] = [new Float64Array(length + 2), new Float64Array(length + 2)];
  const saved = new Float64Array(length + 1);
  for (const s of tape.slots.values()) {
    if (s.saved) (saved[s.at] as number) += s.bytes;
    if (!s.activation || s.of !== null) continue;
    // Crosses the places before ops `at + 1` … `lastRead`.
    (count[s.at + 1] as number) += 1;
    (count[s.lastRead + 1] as number) -= 1;
    (bytes[s.at + 1] as number) += s.bytes;
    (bytes[s.lastRead + 1] as number) -= s.bytes;
  }
  for (let p = 1; p <= length; p++) {
    (count[p] as number) += count[p - 1] as number;
    (bytes[p] as number) += bytes[p - 1] as number;
  }
  const heavy = tape.forward.flatMap((op, at) => (tape.macs(op) > 0 ? [at] : []));
  // Between two ops with multiply-accumulates: the place where least goes on, the last of several.
  const places = heavy.slice(1).map((to, i) => {
    let best = to;
    for (let p = to - 1; p > (heavy[i] as number); p--) if ((bytes[p] as number) < (bytes[best] as number)) best = p;
    return best;
  });
  const single = places.filter((p) => count[p] === 1);
  const weights = [0, ...single, length].map((from, i, all) => saved.slice(from, all[i + 1] ?? length).reduce((a, b) => a + b, 0));
  const whole = weights.reduce((a, b) => a + b, 0);
  const at = (i: number): number => bytes[places[i] as number] ?? Number.POSITIVE_INFINITY;
  const cuts = Math.max(...weights) * 2 > whole ? places.filter((_, i) => at(i) <= at(i - 1) && at(i) <= at(i + 1)) : single;
  const thinned =
    cuts.length < STAGES ? cuts : Array.from({ length: STAGES - 1 }, (_, i) => cuts[Math.round((i * (cuts.length - 1)) / (STAGES - 2))] as number);
  return [0, ...thinned, length];
}
