import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs, bool01, float } from "../_attrs.js";
import { need } from "../_eval.js";
import { product } from "../_infer.js";
import { scalarOr, updated } from "./_update.js";

/**
 * One step of Adam (Kingma, Ba 2015), or of AdamW (Loshchilov, Hutter 2019) with `decoupled`: operands parameter, gradient, first and second moment, learning rate,
 * number of the step from 1, gradient scale?; results the next parameter and moments. A gradient scale that is not finite leaves all as they are.
 */
export const trainAdam = defineOp({
  kind: "train.adam",
  summary: "Step of Adam or AdamW: next parameter and moments",
  attrs: attrs({
    beta1: float.optional(),
    beta2: float.optional(),
    epsilon: float.optional(),
    weight_decay: float.optional(),
    decoupled: bool01.optional(),
  }),
  inputs: [6, 7],
  outputs: [3, 3],
  infer: (ctx) => updated(ctx, [0, 1, 2, 3]),
  cost: (_, { outputs }) => ({ macs: 0, flops: 14 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const p = need(inputs, 0);
    const [pv, g, m, v] = [0, 1, 2, 3].map((i) => toNumbers(need(inputs, i))) as [Float64Array, Float64Array, Float64Array, Float64Array];
    const [rate, step, scale] = [scalarOr(inputs[4], 0), scalarOr(inputs[5], 1), scalarOr(inputs[6], 1)];
    if (!Number.isFinite(scale)) return [p, need(inputs, 2), need(inputs, 3)];
    const [b1, b2, epsilon, decay] = [num(op, "beta1", 0.9), num(op, "beta2", 0.999), num(op, "epsilon", 1e-8), num(op, "weight_decay", 0)];
    const decoupled = num(op, "decoupled", 0) === 1;
    const full = g.map((e, i) => e * scale + (decoupled ? 0 : decay * (pv[i] as number)));
    const first = m.map((e, i) => b1 * e + (1 - b1) * (full[i] as number));
    const second = v.map((e, i) => b2 * e + (1 - b2) * (full[i] as number) ** 2);
    const [c1, c2] = [1 - b1 ** step, 1 - b2 ** step];
    const next = pv.map((e, i) => {
      const kept = decoupled ? e * (1 - rate * decay) : e;
      return kept - (rate / c1) * ((first[i] as number) / (Math.sqrt(second[i] as number) / Math.sqrt(c2) + epsilon));
    });
    return [next, first, second].map((values) => fromNumbers(p.type, p.dims, values));
  },
});
