import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { tensorType } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need, normal } from "./_eval.js";
import { axisOf, broadcast, floatTypes, needElem, product, unknown } from "./_infer.js";
import { affine, normalizeGroups } from "./_norm.js";

/** Source: ONNX LayerNormalization (Ba, Kiros, Hinton 2016). Optional outputs: mean and 1/std. */
export const layerNormalization = defineOp({
  kind: "layer_normalization",
  summary: "Normalizes over the axes from `axis` on, then scales and shifts",
  attrs: attrs({ axis: int.optional(), epsilon: z.number().optional(), stash_type: int.optional() }),
  inputs: [2, 3],
  outputs: [1, 3],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return { types: [x, tensorType("f32", null), tensorType("f32", null)].slice(0, ctx.outputCount) };
    const axis = axisOf(ctx, num(ctx.op, "axis", -1), x.shape.length);
    for (const i of [1, 2]) broadcast(ctx, [x.shape, ctx.shape(i) ?? []]);
    const statistics = tensorType(
      "f32",
      x.shape.map((d, i) => (i < axis ? d : 1)),
    );
    return { types: [tensorType(x.elem, x.shape), statistics, statistics].slice(0, ctx.outputCount) };
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 8 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const [x, scale] = [need(inputs, 0), need(inputs, 1)];
    const axis = normal(num(op, "axis", -1), x.dims.length);
    const { y, mean, invStd } = normalizeGroups(toNumbers(x), product(x.dims.slice(axis)), num(op, "epsilon", 1e-5));
    const dims = x.dims.map((d, i) => (i < axis ? d : 1));
    return [affine(x, y, scale, inputs[2] ?? null), fromNumbers("f32", dims, mean), fromNumbers("f32", dims, invStd)].slice(0, op.outputs.length);
  },
});
