import { z } from "zod";
import {
  constantTensor,
  type Dim,
  definePass,
  elementCount,
  i64,
  isConstant,
  type Op,
  opDefinition,
  type Tensor,
  tensor,
  UNKNOWN_DIM,
  type Value,
} from "../../compiler/core/index.js";

/**
 * Evaluates ops whose operands are constants, and replaces integer values whose contents shape inference knows (`Shape` → `Gather` → `Concat` chains).
 * A reshape target with one dimension that is only known at run time becomes a constant with -1 in its place. Results above `maxBytes` stay computed,
 * since folding them would make the file larger (`ConstantOfShape`, `Expand`), and so does what would take more than `maxOperations`: a hostile file may ask for
 * any product of large constants. Does not fold dequantization: quantized weights stay quantized.
 */
export const foldConstants = definePass({
  name: "fold-constants",
  summary: "Evaluate ops with constant operands, shape computations among them",
  from: ["float", "annotated", "quantized"],
  to: "same",
  keeps: "values",
  options: z
    .object({
      maxBytes: z
        .number()
        .int()
        .min(0)
        .default(1 << 24)
        .describe("largest result that is stored as a constant"),
      maxOperations: z
        .number()
        .int()
        .min(0)
        .default(2 ** 30)
        .describe("scalar operations that all evaluations may take together"),
    })
    .strict(),
  statistics: { folded: "ops replaced by constants", shapes: "of these, shape computations" },
  run({ graph, options, rewrite, count, decide }) {
    let left = options.maxOperations;
    for (const op of [...graph.ops]) {
      if (op.kind === "constant" || op.kind === "dequantize_linear" || op.kind === "quantize_linear" || op.outputs.length === 0) continue;
      if (isUnpacking(op)) continue;
      if (op.regions.length > 0 || opDefinition(op.kind)?.impure === true) continue;
      if (!op.outputs.some((v) => graph.isUsed(v))) continue;
      const known = knownContent(op);
      if (known !== null) {
        replace(op, [known], "its elements are known");
        count("folded");
        count("shapes");
        continue;
      }
      relaxTarget(op);
      if (op.inputs.length === 0 || !op.inputs.every((v) => v === null || isConstant(v))) continue;
      const evaluate = opDefinition(op.kind)?.evaluate;
      if (evaluate === undefined) {
        decide(op, "kept", "all operands are constant, but the op has no reference evaluation");
        continue;
      }
      const bytes = op.outputs.reduce(
        (n, v) => n + (v.type.kind === "tensor" ? (elementCount(v.type.shape) ?? Number.POSITIVE_INFINITY) * 4 : Number.POSITIVE_INFINITY),
        0,
      );
      if (!(bytes <= options.maxBytes)) {
        decide(op, "kept", `the result is larger than ${options.maxBytes} bytes`, bytes);
        continue;
      }
      const work = operationsOf(op);
      if (work > left) {
        decide(op, "kept", `evaluating it takes ${work} operations, and ${left} are left of ${options.maxOperations}`, bytes);
        continue;
      }
      left -= work;
      try {
        replace(op, evaluate(op, op.inputs.map(constantTensor)), "operands are constant");
        count("folded");
      } catch (error) {
        decide(op, "kept", `it cannot be evaluated: ${(error as Error).message}`);
      }
    }

    function replace(op: Op, tensors: readonly Tensor[], reason: string): void {
      rewrite.patch(op, reason, (edit) => {
        op.outputs.forEach((v, i) => {
          const t = tensors[i];
          if (t !== undefined && graph.isUsed(v)) edit.replaceAllUses(v, edit.constant(`${v.name}.folded`, t));
        });
        edit.eraseDead(op);
      });
    }

    /** Reshape to a computed target of which all but one element are known. */
    function relaxTarget(op: Op): void {
      const target = op.inputs[1];
      if (op.kind !== "reshape" || target == null || isConstant(target)) return;
      const content = target.content;
      const shape = op.inputs[0]?.type.kind === "tensor" ? op.inputs[0].type.shape : null;
      if (content === undefined) return;
      const allowZero = op.attrs["allowzero"] === 1;
      // A symbol that stands at the same place in the operand is copied with 0; one other may be -1.
      const entries = content.map((d: Dim, i: number): number | null =>
        typeof d === "number" ? d : !allowZero && d !== UNKNOWN_DIM && shape?.[i] === d ? 0 : null,
      );
      const open = entries.filter((e) => e === null).length;
      if (open > 1 || (open === 1 && entries.includes(-1))) {
        decide(op, "kept", `the target [${content.join(", ")}] has more than one dimension that is known only at run time`);
        return;
      }
      rewrite.patch(op, "the target shape is known but for one dimension", (edit) => {
        const before = (target as Value).producer;
        edit.setInput(op, 1, edit.constant(`${op.name || op.outputs[0]?.name}.shape`, i64(entries.map((e) => e ?? -1))));
        if (before !== null) edit.eraseDead(before);
      });
      count("folded");
      count("shapes");
    }
  },
});

/** The integer tensor that inference knows for the op's single result. */
function knownContent(op: Op): Tensor | null {
  const v = op.outputs[0];
  if (op.outputs.length !== 1 || v?.content === undefined || v.type.kind !== "tensor" || v.type.shape === null || v.type.shape.length > 1)
    return null;
  if (v.type.elem !== "i64" && v.type.elem !== "i32") return null;
  if (!v.content.every((d) => typeof d === "number" && Number.isSafeInteger(d))) return null;
  return tensor(v.type.elem, v.type.shape.length === 0 ? [] : [v.content.length], v.content as number[]);
}

/** Scalar operations of one evaluation: its arithmetic, and a visit to each element that it reads and writes. */
function operationsOf(op: Op): number {
  const shape = (v: Value | null): readonly number[] | null =>
    v?.type.kind === "tensor" ? ((v.type.shape as readonly number[] | null) ?? null) : null;
  const inputs = op.inputs.map(shape);
  const outputs = op.outputs.map((v) => shape(v) ?? []);
  const cost = opDefinition(op.kind)?.cost?.(op, { inputs, outputs });
  const visited = [...inputs, ...outputs].reduce((n, s) => n + (elementCount(s) ?? 0), 0);
  return (cost?.macs ?? 0) + (cost?.flops ?? 0) + visited;
}

/** Weights that are stored in fewer than 8 bits and widened when a runtime loads them: folding would undo that. */
const isUnpacking = (op: Op): boolean => {
  const type = op.inputs[0]?.type;
  return op.kind === "cast" && type?.kind === "tensor" && isConstant(op.inputs[0] ?? null) && (type.elem === "i4" || type.elem === "u4");
};
