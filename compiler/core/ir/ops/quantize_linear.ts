import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { type ElementType, isElementType, isInteger, type QuantParams, tensorType } from "../types.js";
import { attrs, bool01, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { one, product } from "./_infer.js";
import { blockReader, quantParams } from "./_qdq.js";
import { quantize } from "./_quantize.js";

/** Operands x, scale, zero_point?; the result has the zero point's type, or `output_dtype`, or u8. Source: ONNX QuantizeLinear. */
export const quantizeLinear = defineOp({
  kind: "quantize_linear",
  summary: "rne(x / scale) + zero_point, saturated",
  attrs: attrs({
    axis: int.optional(),
    block_size: int.optional(),
    saturate: bool01.optional(),
    output_dtype: z.string().refine(isElementType).optional(),
    precision: z.string().optional(),
  }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    const elem = ctx.type(2)?.elem ?? (str(ctx.op, "output_dtype", "u8") as ElementType);
    const quant: QuantParams | null = quantParams(ctx, elem);
    return one(tensorType(elem, ctx.shape(0), quant ?? undefined));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 2 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const [x, scale] = [need(inputs, 0), need(inputs, 1)];
    const zero = inputs[2] ?? null;
    const type = zero?.type ?? (str(op, "output_dtype", "u8") as ElementType);
    const at = blockReader(x.dims, scale.dims, num(op, "axis", 1), num(op, "block_size", 0));
    const [s, z0] = [toNumbers(scale), zero === null ? null : toNumbers(zero)];
    const v = toNumbers(x);
    if (!isInteger(type))
      return [
        fromNumbers(
          type,
          x.dims,
          v.map((e, i) => e / (s[at(i)] as number)),
        ),
      ];
    return [
      fromNumbers(
        type,
        x.dims,
        v.map((e, i) => quantize(e, s[at(i)] as number, z0 === null ? 0 : (z0[at(i)] as number), type)),
      ),
    ];
  },
});
