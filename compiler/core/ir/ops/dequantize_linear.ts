import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { type ElementType, isElementType, tensorType } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { one, product } from "./_infer.js";
import { blockReader } from "./_qdq.js";

/** Operands x, scale, zero_point?; the result has the scale's type. Source: ONNX DequantizeLinear. */
export const dequantizeLinear = defineOp({
  kind: "dequantize_linear",
  summary: "(x - zero_point) * scale",
  attrs: attrs({ axis: int.optional(), block_size: int.optional(), output_dtype: z.string().refine(isElementType).optional() }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    const [x, scale, zero] = [ctx.type(0), ctx.type(1), ctx.type(2)];
    if (x !== null && zero !== null && x.elem !== zero.elem)
      ctx.fail(`the data is ${x.elem}, the zero point ${zero.elem}`, "both must have one type");
    return one(
      tensorType(
        (ctx.attrs["output_dtype"] === undefined ? (scale?.elem ?? "f32") : str(ctx.op, "output_dtype", "f32")) as ElementType,
        ctx.shape(0),
      ),
    );
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 2 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const [x, scale] = [need(inputs, 0), need(inputs, 1)];
    const zero = inputs[2] == null ? null : toNumbers(inputs[2]);
    const at = blockReader(x.dims, scale.dims, num(op, "axis", 1), num(op, "block_size", 0));
    const s = toNumbers(scale);
    const type = (op.attrs["output_dtype"] ?? scale.type) as ElementType;
    return [
      fromNumbers(
        type,
        x.dims,
        toNumbers(x).map((v, i) => Math.fround(v - (zero === null ? 0 : (zero[at(i)] as number))) * (s[at(i)] as number)),
      ),
    ];
  },
});
