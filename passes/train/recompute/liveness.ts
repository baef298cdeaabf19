/** Bytes that live at each step of a training step. */
import type { Graph, Op, Value } from "../../../compiler/core/index.js";
import type { Again } from "./schedule.js";
import { isView, type Tape } from "./tape.js";

interface Buffer {
  readonly bytes: number;
  first: number;
  last: number;
}

/** Most partial sums of a convolution's weight gradient, in copies and in bytes. */
const [PARTS, PART_BYTES] = [16, 2 ** 25];

/** Bytes that an op of the engine needs beside its results: operands of products that are packed in each run, partial sums. */
function scratchOf(op: Op, tape: Tape): number {
  const bytes = (i: number): number => (op.inputs[i] == null ? 0 : tape.bytes(op.inputs[i] as Value));
  switch (op.kind) {
    case "gemm":
      return bytes(1) + (op.attrs["transA"] === 1 ? bytes(0) : 0);
    case "cpu.conv_variable":
      return bytes(1);
    case "cpu.conv_transpose_variable":
      return 2 * bytes(1);
    case "train.conv_backward_weights": {
      const [images = 1, part] = [tape.dims(op.inputs[0] as Value)?.[0], tape.bytes(op.outputs[0] as Value)];
      const parts = Math.min(PARTS, images, Math.floor(PART_BYTES / Math.max(1, part)));
      return parts > 1 ? parts * part : 0;
    }
    default:
      return 0;
  }
}

/**
 * Results live from the op that makes them to the last op that reads them; ops without multiply-accumulates write over an operand of the same size that nobody reads
 * after. The caller's arrays (inputs and results of the step) do not count. The ops' scratch memory is estimated: the engine's plan tells.
 */
export function liveBytes(graph: Graph, tape: Tape, dropped: ReadonlySet<Value>, again: readonly Again[]): readonly number[] {
  const before = new Map(again.map((a) => [a.before, a.ops]));
  const steps: { readonly op: Op; readonly reads: readonly Buffer[]; readonly result: Buffer | undefined }[] = [];
  const buffers: Buffer[] = [];
  const [first, second] = [new Map<Value, Buffer>(), new Map<Value, Buffer>()];
  const step = (op: Op, part: "forward" | "again" | "backward"): void => {
    const at = steps.length;
    const read = (v: Value): Buffer | undefined => (part !== "forward" && dropped.has(v) ? second : first).get(v);
    const reads = op.inputs.flatMap((v) => (v === null ? [] : (read(v) ?? [])));
    for (const b of reads) b.last = at;
    const made = op.outputs.map((v) => {
      const shown = isView(op) ? read(op.inputs[0] as Value) : undefined;
      const bytes = graph.isOutput(v) || isView(op) ? 0 : tape.bytes(v);
      const buffer = shown ?? { bytes, first: at, last: at };
      if (shown === undefined) buffers.push(buffer);
      (part === "again" ? second : first).set(v, buffer);
      return buffer;
    });
    steps.push({ op, reads, result: made[0] });
  };
  for (const op of tape.forward) step(op, "forward");
  for (const op of tape.backward) {
    for (const o of before.get(op) ?? []) step(o, "again");
    step(op, "backward");
  }
  // In place: the operand counts in this step, the result from the next one on.
  steps.forEach(({ op, reads, result }, at) => {
    if (result === undefined || isView(op) || tape.macs(op) > 0) return;
    const taken = reads.find((b) => b.last === at && b.first < at && b.bytes === result.bytes);
    if (taken !== undefined) result.first = at + 1;
  });
  const change = new Float64Array(steps.length + 2);
  for (const b of buffers) {
    (change[b.first] as number) += b.bytes;
    (change[b.last + 1] as number) -= b.bytes;
  }
  let live = 0;
  return steps.map(({ op }, i) => {
    live += change[i] as number;
    return live + scratchOf(op, tape);
  });
}
