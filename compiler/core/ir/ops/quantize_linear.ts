import { num, str } from "../graph.js";
import { defineOp, type InferContext } from "../op.js";
import { fromNumbers, roundHalfEven, tensor, toNumbers } from "../tensor.js";
import { type ElementType, integerRange, isInteger, type TensorType, tensorType } from "../types.js";
import { attrs, bool01, elem, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, elementsOf, needElem, one, present, unknown } from "./_infer.js";
import { quantParams } from "./_qdq.js";
import { checkScale, scaleIndex } from "./_scales.js";
import { encodeSmallFloat } from "./_small_float.js";

const targets: readonly ElementType[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u4",
  "i4",
  "u2",
  "i2",
  "f8e4m3fn",
  "f8e4m3fnuz",
  "f8e5m2",
  "f8e5m2fnuz",
  "f4e2m1",
];

const targetOf = (ctx: InferContext): ElementType | null => {
  const given = ctx.attrs["output_dtype"] as ElementType | undefined;
  const zero = ctx.type(2);
  if (given !== undefined && zero !== null && zero.elem !== given) ctx.fail(`output_dtype is ${given}, the zero point is ${zero.elem}`);
  if (present(ctx, 2)) return zero?.elem ?? given ?? null;
  return given ?? "u8";
};

/**
 * y = saturate(round half to even(x / scale) + zero point). Operands x, scale, zero_point?; the result has the zero point's type, or `output_dtype`, or u8.
 * Source: ONNX QuantizeLinear.
 */
export const quantizeLinear = defineOp({
  kind: "quantize_linear",
  summary: "rne(x / scale) + zero_point, saturated; per tensor, axis or block",
  attrs: attrs({
    axis: int.optional(),
    block_size: int.optional(),
    output_dtype: elem.optional(),
    precision: elem.optional(),
    saturate: bool01.optional(),
  }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, ["f32", "f16", "bf16", "f64", "i32"]);
    checkScale(ctx);
    const type = targetOf(ctx);
    if (type === null) return unknown(ctx);
    if (!targets.includes(type)) ctx.fail(`the result would be ${type}`, `it may be ${targets.join(", ")}`);
    const result = checked(ctx, type, ctx.shape(0)) as TensorType;
    return one(tensorType(type, result.shape, quantParams(ctx, type) ?? undefined));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 3 * elementsOf(outputs[0]) }),
  evaluate(op, inputs) {
    const [x, scale, zero] = [need(inputs, 0), need(inputs, 1), inputs[2] ?? null];
    const type = zero?.type ?? (str(op, "output_dtype", "u8") as ElementType);
    const index = scaleIndex(x.dims, scale.dims, num(op, "axis", 1), num(op, "block_size", 0));
    const [v, s, z] = [toNumbers(x), toNumbers(scale), zero === null ? null : toNumbers(zero)];
    // The quotient is rounded to the type of the scale, or to `precision`, before it is rounded to an integer.
    const precision = str(op, "precision", scale.type === "f64" ? "f32" : scale.type) as ElementType;
    const out = new Float64Array(v.length);
    for (let i = 0; i < out.length; i++) out[i] = Math.fround((v[i] as number) / (s[index(i)] as number));
    if (precision !== "f32") out.set(toNumbers(fromNumbers(precision, x.dims, out)));
    const integer = isInteger(type);
    const [low, high] = integer ? integerRange(type) : [0, 0];
    const saturated = num(op, "saturate", 1) === 1;
    for (let i = 0; i < out.length; i++) {
      const q = out[i] as number;
      const zp = z === null ? 0 : (z[index(i)] as number);
      if (!integer) out[i] = encodeSmallFloat(type, q + zp, saturated);
      else out[i] = Number.isNaN(q) ? zp : Math.min(high, Math.max(low, roundHalfEven(q) + zp));
    }
    return [tensor(type, x.dims, out)];
  },
});
