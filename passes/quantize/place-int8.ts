import { z } from "zod";
import { callOf, definePass, type Executor, type Feeds, type Graph, type Json, type Op, runPipeline, type Value } from "../../compiler/core/index.js";
import { materializeQdq } from "./materialize-qdq.js";
import { int8Options } from "./options.js";
import { paramsOf } from "./ranges.js";
import { ruleOf } from "./rules.js";
import { type EdgeSpec, type OpSpec, type OwnRange, readOwnRanges, readSpec } from "./spec.js";

/** INT8 must save at least this share of an island's time: what is as fast in float is more exact there. */
const LEAST_GAIN = 0.05;

const label = (op: Op): string => op.name || (op.outputs[0]?.name ?? op.kind);

/**
 * Takes specs away again where INT8 breaks or does not pay: Concats that would join ranges of unlike size (tails of detection networks join boxes and scores),
 * with all that reads their result in one range; and, with `placement: measured`, islands of INT8 ops that are not faster than in float, conversions at
 * their edges included. Times are of single ops in the engine, so a measured placement may differ from machine to machine.
 */
export const placeInt8 = definePass({
  name: "place-int8",
  summary: "Leave in float what breaks on INT8 or is no faster",
  from: "annotated",
  to: "same",
  keeps: "bit-exact",
  options: z.object({ mixed_bits: int8Options.mixed_bits, placement: z.enum(["all", "measured"]).default("all").describe("what decides") }).strict(),
  statistics: {
    mixed: "ops left in float because a Concat mixes ranges",
    slower: "ops left in float because INT8 is not faster",
    islands: "islands measured",
  },
  async run({ graph, options, rewrite, count, decide, warn, executor, calibration, progress }) {
    const toFloat = (op: Op, reason: string, figure: number): void => {
      rewrite.annotate(op, "quant", undefined, reason);
      decide(op, "float", reason, Number(figure.toPrecision(4)));
    };
    // Outer Concats first: without them, the ranges of inner ones may be alike.
    const concats = [...graph.ops].reverse();
    for (const concat of concats.filter((op) => ruleOf(op.kind).kind === "joined" && readSpec(op) !== null)) {
      const own = readOwnRanges(concat);
      rewrite.annotate(concat, "own-ranges", undefined, "read");
      const starved = mostStarved(own, concat);
      if (starved === null || starved.bits <= options.mixed_bits) continue;
      const reason = `it mixes ranges: "${starved.value}" would lose ${starved.bits.toFixed(1)} bits of resolution to the range of its neighbours`;
      const readers = readersInOneRange(graph, concat);
      toFloat(concat, reason, starved.bits);
      for (const op of readers) toFloat(op, `it reads "${label(concat)}", which mixes ranges`, starved.bits);
      count("mixed", 1 + readers.length);
      giveOwnRanges(graph, own, (op, spec) => rewrite.annotate(op, "quant", spec as unknown as Json, "a range of its own"));
    }
    if (options.placement === "all") return;
    const feeds = await firstSample(calibration);
    if (executor?.profile === undefined || feeds === null) {
      warn("CEC4020", "`placement: measured` has no engine that times single ops: everything with a rule runs on INT8");
      return;
    }
    const islands = islandsOf(graph);
    const whole = await timesOf(graph, null, executor, feeds);
    for (const [i, island] of islands.entries()) {
      progress(i / islands.length, `timing island ${i + 1} of ${islands.length}`);
      const { before, after } = difference(whole, await timesOf(graph, new Set(island), executor, feeds), new Set(island.map(label)));
      count("islands");
      const text = `measured: ${us(before)} on INT8 with its conversions, ${us(after)} in float${island.length === 1 ? "" : `, for ${island.length} ops together`}`;
      const ratio = after === 0 ? 1 : before / after;
      if (ratio > 1 - LEAST_GAIN) {
        for (const op of island) toFloat(op, text, ratio);
        count("slower", island.length);
      } else for (const op of island) decide(op, "int8", text, Number(ratio.toPrecision(4)));
    }
  },
});

const us = (ns: number): string => `${(ns / 1000).toFixed(1)} µs`;

/** The operand that loses most: log2 of the shared step over the step that it would have alone. Values that are always 0 lose nothing. */
function mostStarved(own: Readonly<Record<string, OwnRange>>, concat: Op): { readonly value: string; readonly bits: number } | null {
  const shared = readSpec(concat)?.outputs[0];
  if (shared?.kind !== "fixed") return null;
  return concat.inputs
    .flatMap((v) => {
      const r = v === null ? undefined : own[v.name];
      if (v === null || r === undefined || r.low === r.high) return [];
      return [{ value: v.name, bits: Math.log2((shared.scale[0] as number) / paramsOf(r, r.type, r.scheme, r.bits).scale) }];
    })
    .reduce<{ value: string; bits: number } | null>((a, b) => (a === null || b.bits > a.bits ? b : a), null);
}

/** INT8 ops that read the result in its one range, through ops that only move it; ops behind those have ranges of their own. */
function readersInOneRange(graph: Graph, op: Op): Op[] {
  const out = new Set<Op>();
  const visit = (v: Value): void => {
    for (const u of graph.users(v)) {
      const spec = readSpec(u);
      if (spec === null || out.has(u) || !u.inputs.some((w, i) => w === v && spec.inputs[i] != null)) continue;
      out.add(u);
      const { kind } = ruleOf(u.kind);
      if ((kind === "shared" || kind === "joined") && u.outputs[0] !== undefined) visit(u.outputs[0]);
    }
  };
  if (op.outputs[0] !== undefined) visit(op.outputs[0]);
  return [...out];
}

/** New parameters for values that no longer share the Concat's range; what still moves stored values keeps one range with its operand. */
function giveOwnRanges(graph: Graph, own: Readonly<Record<string, OwnRange>>, annotate: (op: Op, spec: OpSpec) => void): void {
  const parent = new Map<string, string>();
  const root = (n: string): string => (parent.has(n) ? root(parent.get(n) as string) : n);
  for (const op of graph.ops) {
    const [x, y] = [op.inputs[0]?.name, op.outputs[0]?.name];
    const linked = readSpec(op) !== null && ["shared", "joined"].includes(ruleOf(op.kind).kind);
    if (linked && x !== undefined && y !== undefined && root(x) !== root(y)) parent.set(root(y), root(x));
  }
  const ranges = new Map<string, OwnRange>();
  for (const [name, r] of Object.entries(own)) {
    const known = ranges.get(root(name));
    ranges.set(root(name), known === undefined ? r : { ...r, low: Math.min(known.low, r.low), high: Math.max(known.high, r.high) });
  }
  const renewed = (edge: EdgeSpec | null, v: Value | null | undefined): EdgeSpec | null => {
    const r = v == null || own[v.name] === undefined ? undefined : ranges.get(root(v.name));
    if (edge?.kind !== "fixed" || r === undefined) return edge;
    const p = paramsOf(r, r.type, r.scheme, r.bits);
    return { ...edge, type: r.type, scale: [p.scale], zeroPoint: [p.zeroPoint] };
  };
  for (const op of graph.ops) {
    const spec = readSpec(op);
    if (spec === null) continue;
    annotate(op, { inputs: spec.inputs.map((e, i) => renewed(e, op.inputs[i])), outputs: spec.outputs.map((e, i) => renewed(e, op.outputs[i])) });
  }
}

/** INT8 ops that share quantized values. */
function islandsOf(graph: Graph): Op[][] {
  const parent = new Map<Op, Op>();
  const root = (op: Op): Op => {
    let r = op;
    while (parent.has(r)) r = parent.get(r) as Op;
    return r;
  };
  const holder = new Map<Value, Op>();
  const int8 = graph.ops.filter((op) => readSpec(op) !== null && op.kind !== "conv_transpose");
  for (const op of int8) {
    const spec = readSpec(op) as OpSpec;
    const touched = [
      ...op.inputs.filter((v, i) => v !== null && v.producer?.kind !== "constant" && spec.inputs[i] != null),
      ...op.outputs,
    ] as Value[];
    for (const v of touched) {
      const other = holder.get(v);
      if (other === undefined) holder.set(v, op);
      else if (root(other) !== root(op)) parent.set(root(op), root(other));
    }
  }
  const islands = new Map<Op, Op[]>();
  for (const op of int8) islands.set(root(op), [...(islands.get(root(op)) ?? []), op]);
  return [...islands.values()];
}

/** Times of the graph as it would run, without the specs of some ops. */
async function timesOf(graph: Graph, without: ReadonlySet<Op> | null, executor: Executor, feeds: Feeds): Promise<ReadonlyMap<string, number>> {
  const copy = graph.clone();
  graph.ops.forEach((op, i) => {
    const twin = copy.ops[i];
    if (twin !== undefined && without?.has(op) === true) twin.annotations = {};
  });
  await runPipeline(copy, [callOf(materializeQdq)], { verify: "off" });
  return (await executor.profile?.(copy, feeds)) ?? new Map();
}

/** Sums over the ops of the island and over what only one of two programs has: the rest is the same in both. */
function difference(
  a: ReadonlyMap<string, number>,
  b: ReadonlyMap<string, number>,
  island: ReadonlySet<string>,
): { readonly before: number; readonly after: number } {
  const own = (key: string): boolean => island.has(key.slice(key.indexOf(" ") + 1));
  const only = (x: ReadonlyMap<string, number>, y: ReadonlyMap<string, number>): number =>
    [...x].reduce((n, [key, ns]) => (y.has(key) && !own(key) ? n : n + ns), 0);
  return { before: only(a, b), after: only(b, a) };
}

async function firstSample(
  calibration: { batches(o: { readonly batch: number; readonly limit: number }): AsyncIterable<Feeds> } | null,
): Promise<Feeds | null> {
  if (calibration === null) return null;
  for await (const feeds of calibration.batches({ batch: 1, limit: 1 })) return feeds;
  return null;
}
