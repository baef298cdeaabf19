/** Per tensor, per axis and blocked scales of QuantizeLinear and DequantizeLinear. */
import { num } from "../graph.js";
import type { InferContext } from "../op.js";
import { toNumbers } from "../tensor.js";
import { type ElementType, isInteger, type QuantParams } from "../types.js";
import { stridesOf } from "./_eval.js";

/** Index of the scale that element `i` of a tensor of shape `dims` takes. */
export function blockReader(dims: readonly number[], scale: readonly number[], axis: number, block: number): (i: number) => number {
  if (scale.length === 0 || (scale.length === 1 && scale[0] === 1 && dims.length !== 1)) return () => 0;
  const rank = dims.length;
  const a = axis < 0 ? axis + rank : axis;
  const strides = stridesOf(dims);
  if (scale.length === 1) return (i) => (Math.floor(i / (strides[a] as number)) % (dims[a] as number)) % (scale[0] as number);
  const own = stridesOf(scale);
  const size = block > 0 ? block : Math.ceil((dims[a] as number) / (scale[a] as number));
  return (i) => {
    let at = 0;
    for (let d = 0; d < rank; d++) {
      const p = Math.floor(i / (strides[d] as number)) % (dims[d] as number);
      at += (d === a ? Math.floor(p / size) : p) * (own[d] as number);
    }
    return at;
  };
}

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
