/** The order of a training step that makes dropped results again. */
import type { Op, Value } from "../../../compiler/core/index.js";
import type { Slot, Tape } from "./tape.js";

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
