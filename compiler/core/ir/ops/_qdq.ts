/** Quantized types of results. */
import { num } from "../graph.js";
import type { InferContext } from "../op.js";
import { toNumbers } from "../tensor.js";
import { type ElementType, isInteger, type QuantParams } from "../types.js";

/** Quantization of the result as part of its type, where scale and zero point are constants of rank 0 or 1. Rejects scales that are no positive numbers. */
export function quantParams(ctx: InferContext, elem: ElementType): QuantParams | null {
  const scale = ctx.constant(1);
  if (scale === null || scale.dims.length > 1 || !isInteger(elem)) return null;
  const s = Array.from(toNumbers(scale));
  const zero = ctx.constant(2);
  if (ctx.op.inputs[2] != null && zero === null) return null;
  const z = zero === null ? s.map(() => 0) : Array.from(toNumbers(zero));
  const rank = ctx.shape(0)?.length;
  const axis = num(ctx.op, "axis", 1);
  const perAxis = scale.dims.length === 1 && s.length > 1;
  if (perAxis && rank !== undefined && (axis < -rank || axis >= rank)) ctx.fail(`axis ${axis} is outside rank ${rank}`);
  return { scale: s, zeroPoint: z, axis: perAxis ? (axis < 0 && rank !== undefined ? axis + rank : axis) : null };
}
