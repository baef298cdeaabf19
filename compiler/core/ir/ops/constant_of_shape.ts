import { z } from "zod";
import { str } from "../graph.js";
import { defineOp } from "../op.js";
import { type Blob, countOf, fromBytes, zeros } from "../tensor.js";
import { type Dim, type ElementType, isElementType, UNKNOWN_DIM } from "../types.js";
import { attrs, blob } from "./_attrs.js";
import { integers, need } from "./_eval.js";
import { checked, one, withContent } from "./_infer.js";

/** The fill value is one element, as raw bytes in `value` of type `value_type`; absent: f32 zero. Source: ONNX ConstantOfShape. */
export const constantOfShape = defineOp({
  kind: "constant_of_shape",
  summary: "A tensor of the given shape filled with one value",
  attrs: attrs({ value: blob.optional(), value_type: z.string().refine(isElementType).optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const elem = str(ctx.op, "value_type", "f32") as ElementType;
    const target = ctx.content(0);
    const rank = ctx.shape(0)?.[0];
    if (target === null) return one(checked(ctx, elem, typeof rank === "number" && rank <= 64 ? new Array<Dim>(rank).fill(UNKNOWN_DIM) : null));
    const fill = ctx.attrs["value"] === undefined ? 0 : Number(fromBytes(elem, [1], (ctx.attrs["value"] as Blob).bytes()).data[0]);
    const n = target[0];
    return withContent(
      one(checked(ctx, elem, target)),
      target.length === 1 && typeof n === "number" && n <= 64 ? new Array<Dim>(n).fill(fill) : undefined,
    );
  },
  evaluate(op, inputs) {
    const dims = integers(need(inputs, 0)) as number[];
    const elem = str(op, "value_type", "f32") as ElementType;
    if (countOf(dims) > 2 ** 28) throw new RangeError(`a tensor of shape [${dims.join(", ")}] is too large to evaluate`);
    const out = zeros(elem, dims);
    if (op.attrs["value"] !== undefined) (out.data as Float32Array).fill(fromBytes(elem, [1], (op.attrs["value"] as Blob).bytes()).data[0] as number);
    return [out];
  },
});
