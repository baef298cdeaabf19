import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import type { ElementType } from "../types.js";
import { attrs, elem, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, elementsOf, needElem, one, unknown } from "./_infer.js";
import { checkScale, scaleIndex } from "./_scales.js";

const sources: readonly ElementType[] = [
  "u8",
  "i8",
  "u16",
  "i16",
  "i32",
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

/** y = (x - zero point) * scale, in the type of the scale or `output_dtype`. Operands x, scale, zero_point?. Source: ONNX DequantizeLinear. */
export const dequantizeLinear = defineOp({
  kind: "dequantize_linear",
  summary: "(x - zero_point) * scale; per tensor, axis or block",
  attrs: attrs({ axis: int.optional(), block_size: int.optional(), output_dtype: elem.optional() }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, sources);
    needElem(ctx, 1, ["f32", "f16", "bf16", "f64", "f8e8m0"]);
    const [x, zero] = [ctx.type(0), ctx.type(2)];
    if (x !== null && zero !== null && x.elem !== zero.elem)
      ctx.fail(`the data is ${x.elem}, the zero point ${zero.elem}`, "both must have one element type");
    checkScale(ctx);
    const type = (ctx.attrs["output_dtype"] as ElementType | undefined) ?? ctx.type(1)?.elem;
    return type === undefined ? unknown(ctx) : one(checked(ctx, type, ctx.shape(0)));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 2 * elementsOf(outputs[0]) }),
  evaluate(op, inputs) {
    const [x, scale, zero] = [need(inputs, 0), need(inputs, 1), inputs[2] ?? null];
    const index = scaleIndex(x.dims, scale.dims, num(op, "axis", 1), num(op, "block_size", 0));
    const [v, s, z] = [toNumbers(x), toNumbers(scale), zero === null ? null : toNumbers(zero)];
    // i32 data may lie beyond f32's exact integers: the difference is rounded to f32 first, as kernels do.
    const y = v.map((e, i) => Math.fround(e - (z === null ? 0 : (z[index(i)] as number))) * (s[index(i)] as number));
    return [fromNumbers(str(op, "output_dtype", scale.type) as ElementType, x.dims, y)];
  },
});
