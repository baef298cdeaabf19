import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, roundHalfEven, toNumbers } from "../../tensor.js";
import { tensorType } from "../../types.js";
import { attrs, float, int } from "../_attrs.js";
import { need } from "../_eval.js";
import { floatTypes, needElem, needRank, needSameElem, product, unknown } from "../_infer.js";
import { scaleIndex } from "./fake_quantize.js";

/**
 * Gradients of fake quantization: operands dy, x, scale, zero_point? as in train.fake_quantize; results dx and dscale. dx is dy where the integer of x lies within
 * its range, else 0 (the straight-through estimator, Bengio et al. 2013). dscale is the sum over what shares a scale of dy * (round(x / s) - x / s) inside and
 * dy * (q - zero_point) at the end q that x is beyond, times `lsq_gradient_scale` (LSQ, Esser et al. 2020).
 */
export const trainFakeQuantizeBackward = defineOp({
  kind: "train.fake_quantize_backward",
  summary: "Gradients of fake quantization: dx, dscale from dy, x, scale, zero_point?",
  attrs: attrs({ q_min: int, q_max: int, axis: int.optional(), lsq_gradient_scale: float.optional() }),
  inputs: [3, 4],
  outputs: [1, 2],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const t = needSameElem(ctx, [0, 1, 2, 3]);
    needRank(ctx, 2, 0, 1);
    if (t === null) return unknown(ctx);
    return { types: [tensorType(t.elem, ctx.shape(1)), tensorType(t.elem, ctx.shape(2))].slice(0, ctx.outputCount) };
  },
  cost: (_, { inputs }) => ({ macs: 0, flops: 8 * product(inputs[1] ?? []) }),
  evaluate(op, inputs) {
    const [dy, x, scale] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
    const zero = inputs[3] == null ? null : toNumbers(inputs[3]);
    const [g, v, s] = [toNumbers(dy), toNumbers(x), toNumbers(scale)];
    const of = scaleIndex(x.dims, num(op, "axis", 0), s.length);
    const [low, high, factor] = [num(op, "q_min", -128), num(op, "q_max", 127), num(op, "lsq_gradient_scale", 1)];
    const near = x.type === "f32" ? Math.fround : (e: number): number => e;
    const [dx, ds] = [new Float64Array(v.length), new Float64Array(s.length)];
    for (let i = 0; i < v.length; i++) {
      const c = of(i);
      const z = zero?.[c] ?? 0;
      const steps = near((v[i] as number) / (s[c] as number));
      const q = roundHalfEven(steps);
      const inside = q + z >= low && q + z <= high;
      if (inside) dx[i] = g[i] as number;
      ds[c]! += (g[i] as number) * (inside ? q - steps : (q + z < low ? low : high) - z);
    }
    return [
      fromNumbers(x.type, x.dims, dx),
      fromNumbers(
        x.type,
        scale.dims,
        ds.map((e) => e * factor),
      ),
    ].slice(0, op.outputs.length);
  },
});
