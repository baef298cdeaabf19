import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, tensor, toNumbers } from "../tensor.js";
import { type ElementType, elementTypes, isElementType, isInteger, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { isBig, need } from "./_eval.js";
import { checked, one, withContent } from "./_infer.js";
import { encodeSmallFloat, isSmallFloat } from "./_small_float.js";

/** Numbers in text as ONNX writes them; NumPy's and C's names of infinity and NaN are taken. */
function parseNumber(text: string): number {
  const t = text.trim().toLowerCase();
  if (/^[+-]?inf(inity)?$/.test(t)) return t.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  if (/^[+-]?nan$/.test(t)) return Number.NaN;
  const v = Number(t);
  if (t === "" || Number.isNaN(v)) throw new RangeError(`"${text}" is no number`);
  return v;
}

/** An exact integer stored in `type`: wrapped modulo 2^bits. */
function wrapped(v: bigint, type: ElementType): bigint {
  const { bits, kind } = elementTypes[type];
  return kind === "int" ? BigInt.asIntN(bits, v) : BigInt.asUintN(bits, v);
}

/**
 * Conversion of values: floats to integers truncate toward zero and wrap, to bool compare with 0; NaN and infinities give integer 0; text is parsed and
 * printed. `saturate` and `roundMode` are about the 8-bit floats.
 */
export function castTensor(x: Tensor, to: ElementType, saturate = true, roundMode = "up"): Tensor {
  if (to === x.type) return x;
  if (to === "string") return { type: to, dims: x.dims, data: Array.from(isBig(x.type) ? (x.data as BigInt64Array) : toNumbers(x), String) };
  const exact = isBig(x.type) && isInteger(to);
  const v = exact ? null : x.type === "string" ? Float64Array.from(x.data as readonly string[], parseNumber) : toNumbers(x);
  if (to === "bool") return { type: to, dims: x.dims, data: Uint8Array.from(v ?? toNumbers(x), (e) => (e !== 0 ? 1 : 0)) };
  if (isInteger(to)) {
    if (v === null)
      return tensor(
        to,
        x.dims,
        Array.from(x.data as BigInt64Array, (e) => wrapped(e, to)),
      );
    const { bits } = elementTypes[to];
    const whole = v.map((e) => (Number.isFinite(e) ? Math.trunc(e) : 0));
    // Typed arrays wrap by themselves, but not to 4 or 2 bits, nor to 64.
    return bits >= 8 && bits < 64
      ? tensor(to, x.dims, whole)
      : tensor(
          to,
          x.dims,
          Array.from(whole, (e) => wrapped(BigInt(e), to)),
        );
  }
  const from = v ?? toNumbers(x);
  if (isSmallFloat(to))
    return tensor(
      to,
      x.dims,
      Array.from(from, (e) => encodeSmallFloat(to, e, saturate, roundMode)),
    );
  return fromNumbers(to, x.dims, from);
}

/** `to` is an element type name. Source: ONNX Cast. */
export const cast = defineOp({
  kind: "cast",
  summary: "The values as another element type",
  attrs: attrs({ to: z.string().refine(isElementType), saturate: bool01.optional(), round_mode: z.enum(["up", "down", "nearest"]).optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const to = str(ctx.op, "to", "f32") as ElementType;
    const content = ctx.content(0);
    const truth = to === "bool" ? content?.map((d) => (typeof d === "number" ? Number(d !== 0) : UNKNOWN_DIM)) : content;
    return withContent(one(checked(ctx, to, ctx.shape(0))), truth);
  },
  evaluate: (op, inputs) => [
    castTensor(need(inputs, 0), str(op, "to", "f32") as ElementType, num(op, "saturate", 1) === 1, str(op, "round_mode", "up")),
  ],
});
