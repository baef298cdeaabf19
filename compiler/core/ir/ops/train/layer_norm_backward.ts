import { z } from "zod";
import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { tensorType } from "../../types.js";
import { attrs, int } from "../_attrs.js";
import { need, normal } from "../_eval.js";
import { axisOf, floatTypes, needElem, needSameElem, product, unknown } from "../_infer.js";
import { normalizeGroups } from "../_norm.js";

/**
 * Gradients of layer normalization: operands dy, x and scale? (of the normalized shape; absent: ones); results dx, dscale, dbias of that shape. With x^ the
 * normalized x and g = dy * scale: dx = (g - mean(g) - x^ * mean(g * x^)) / std.
 */
export const trainLayerNormBackward = defineOp({
  kind: "train.layer_norm_backward",
  summary: "Gradients of layer normalization: dx, dscale, dbias from dy, x, scale",
  attrs: attrs({ axis: int.optional(), epsilon: z.number().optional() }),
  inputs: [2, 3],
  outputs: [1, 3],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const t = needSameElem(ctx, [0, 1, 2]);
    if (t === null) return unknown(ctx);
    const x = ctx.shape(1);
    const per = tensorType(t.elem, x === null ? null : x.slice(axisOf(ctx, num(ctx.op, "axis", -1), x.length)));
    return { types: [tensorType(t.elem, x), per, per].slice(0, ctx.outputCount) };
  },
  cost: (_, { inputs }) => ({ macs: 0, flops: 14 * product(inputs[1] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 1);
    const dy = toNumbers(need(inputs, 0));
    const axis = normal(num(op, "axis", -1), x.dims.length);
    const dims = x.dims.slice(axis);
    const size = product(dims);
    const scale = inputs[2] == null ? null : toNumbers(inputs[2]);
    const { y: hat, invStd } = normalizeGroups(toNumbers(x), size, num(op, "epsilon", 1e-5));
    const [dx, dscale, dbias] = [new Float64Array(hat.length), new Float64Array(size), new Float64Array(size)];
    for (let from = 0, row = 0; from < hat.length; from += size, row++) {
      let [sum, dot] = [0, 0];
      for (let i = 0; i < size; i++) {
        const [d, h] = [dy[from + i] as number, hat[from + i] as number];
        const g = d * (scale?.[i] ?? 1);
        sum += g;
        dot += g * h;
        dscale[i]! += d * h;
        dbias[i]! += d;
      }
      for (let i = 0; i < size; i++) {
        const g = (dy[from + i] as number) * (scale?.[i] ?? 1);
        dx[from + i] = (invStd[row] as number) * (g - sum / size - ((hat[from + i] as number) * dot) / size);
      }
    }
    return [fromNumbers(x.type, x.dims, dx), fromNumbers(x.type, dims, dscale), fromNumbers(x.type, dims, dbias)].slice(0, op.outputs.length);
  },
});
