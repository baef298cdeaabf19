/** The order of a training step that makes dropped results again, and the bytes that live at each of its steps. */
import type { Graph, Op, Value } from "../../../compiler/core/index.js";
import { isView, type Slot, type Tape } from "./tape.js";

/** Ops that run once more, in order, directly before an op of the backward part. */
export interface Again {
  readonly before: Op;
  readonly ops: readonly Op[];
}

/**
 * Which ops run again, and where: as late as possible, directly before the first backward op that reads what they give. What was made again stays as long as
 * anybody reads it, so no op runs more than twice.
 * @param dropped results that are not kept from forward to backward; what they are made from must be kept, dropped too, or an operand of the step
 */
export function scheduleAgain(tape: Tape, dropped: ReadonlySet<Value>): readonly Again[] {
  const made = new Set<Op>();
  const out: Again[] = [];
  for (const before of tape.backward) {
    const wanted = new Set<Op>();
    const waiting = before.inputs.filter((v): v is Value => v !== null && dropped.has(v));
    for (let v = waiting.pop(); v !== undefined; v = waiting.pop()) {
      const op = v.producer as Op;
      if (made.has(op)) continue;
      made.add(op);
      wanted.add(op);
      for (const x of op.inputs) if (x !== null && dropped.has(x)) waiting.push(x);
    }
    if (wanted.size === 0) continue;
    const at = (op: Op): number => (tape.slots.get(op.outputs[0] as Value) as Slot).at;
    out.push({ before, ops: [...wanted].sort((a, b) => at(a) - at(b)) });
  }
  return out;
}

/** Bytes that live at each step: results from the op that makes them to the last op that reads them. The caller's arrays (inputs and results of the step) do not count. */
export function liveBytes(graph: Graph, tape: Tape, dropped: ReadonlySet<Value>, again: readonly Again[]): readonly number[] {
  const before = new Map(again.map((a) => [a.before, a.ops]));
  interface Buffer {
    readonly bytes: number;
    readonly first: number;
    last: number;
  }
  const buffers: Buffer[] = [];
  const [first, second] = [new Map<Value, Buffer>(), new Map<Value, Buffer>()];
  let steps = 0;
  const step = (op: Op, copy: boolean, backward: boolean): void => {
    const read = (v: Value): Buffer | undefined => (backward && dropped.has(v) ? second : first).get(v);
    for (const v of op.inputs) {
      const buffer = v === null ? undefined : read(v);
      if (buffer !== undefined) buffer.last = steps;
    }
    for (const v of op.outputs) {
      const shown = isView(op) ? read(op.inputs[0] as Value) : undefined;
      const buffer = shown ?? { bytes: graph.isOutput(v) || isView(op) ? 0 : tape.bytes(v), first: steps, last: steps };
      if (shown === undefined) buffers.push(buffer);
      (copy ? second : first).set(v, buffer);
    }
    steps++;
  };
  for (const op of tape.forward) step(op, false, false);
  for (const op of tape.backward) {
    for (const o of before.get(op) ?? []) step(o, true, true);
    step(op, false, true);
  }
  const change = new Float64Array(steps + 1);
  for (const b of buffers) {
    (change[b.first] as number) += b.bytes;
    (change[b.last + 1] as number) -= b.bytes;
  }
  let live = 0;
  return Array.from({ length: steps }, (_, i) => (live += change[i] as number));
}
