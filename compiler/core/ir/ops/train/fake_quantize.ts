import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, roundHalfEven, toNumbers } from "../../tensor.js";
import { attrs, float, int } from "../_attrs.js";
import { need, normal } from "../_eval.js";
import { floatTypes, like, needElem, needRank, needSameElem, product } from "../_infer.js";

/** Flat index of x to the index of its scale: 0 for one scale per tensor. */
export function scaleIndex(dims: readonly number[], axis: number, scales: number): (i: number) => number {
  if (scales === 1) return () => 0;
  const at = normal(axis, dims.length);
  const inner = product(dims.slice(at + 1));
  return (i) => Math.floor(i / inner) % (dims[at] as number);
}

/**
 * Quantizes and dequantizes in float: (clamp(round(x / scale) + zero_point, q_min, q_max) - zero_point) * scale, halves to even, per tensor or along `axis`.
 * Operands x, scale, zero_point? (a float tensor like scale that holds whole numbers). Source: Jacob et al. 2018.
 */
export const trainFakeQuantize = defineOp({
  kind: "train.fake_quantize",
  summary: "Quantize and dequantize in float: operands x, scale, zero_point?",
  attrs: attrs({ q_min: int, q_max: int, axis: int.optional(), lsq_gradient_scale: float.optional() }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    needSameElem(ctx, [0, 1, 2]);
    needRank(ctx, 1, 0, 1);
    return like(ctx);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 5 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const scale = toNumbers(need(inputs, 1));
    const zero = inputs[2] == null ? null : toNumbers(inputs[2]);
    const of = scaleIndex(x.dims, num(op, "axis", 0), scale.length);
    const [low, high] = [num(op, "q_min", -128), num(op, "q_max", 127)];
    // In f32 the division rounds before the result is rounded to a whole number, as in QuantizeLinear.
    const near = x.type === "f32" ? Math.fround : (v: number): number => v;
    return [
      fromNumbers(
        x.type,
        x.dims,
        toNumbers(x).map((v, i) => {
          const s = scale[of(i)] as number;
          const z = zero?.[of(i)] ?? 0;
          return (Math.min(high, Math.max(low, roundHalfEven(near(v / s)) + z)) - z) * s;
        }),
      ),
    ];
  },
});
