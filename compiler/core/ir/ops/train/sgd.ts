import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs, bool01, float } from "../_attrs.js";
import { need } from "../_eval.js";
import { product } from "../_infer.js";
import { scalarOr, updated } from "./_update.js";

/**
 * One step of stochastic gradient descent, as PyTorch's SGD: operands parameter, gradient, velocity, learning rate, gradient scale?; results the next parameter and
 * velocity. g = gradient * scale + weight_decay * p; v' = momentum * v + g; p' = p - rate * (nesterov ? g + momentum * v' : v'). A gradient scale that is not finite
 * (a loss that overflowed) leaves both as they are: the step is skipped.
 */
export const trainSgd = defineOp({
  kind: "train.sgd",
  summary: "Step of SGD with momentum: next parameter and velocity",
  attrs: attrs({ momentum: float.optional(), nesterov: bool01.optional(), weight_decay: float.optional() }),
  inputs: [4, 5],
  outputs: [2, 2],
  infer: (ctx) => updated(ctx, [0, 1, 2]),
  cost: (_, { outputs }) => ({ macs: 0, flops: 6 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const p = need(inputs, 0);
    const [pv, g, v] = [p, need(inputs, 1), need(inputs, 2)].map(toNumbers) as [Float64Array, Float64Array, Float64Array];
    const [rate, scale] = [scalarOr(inputs[3], 0), scalarOr(inputs[4], 1)];
    if (!Number.isFinite(scale)) return [p, need(inputs, 2)];
    const [momentum, decay, nesterov] = [num(op, "momentum", 0), num(op, "weight_decay", 0), num(op, "nesterov", 0) === 1];
    const full = g.map((e, i) => e * scale + decay * (pv[i] as number));
    const velocity = v.map((e, i) => momentum * e + (full[i] as number));
    const next = pv.map((e, i) => e - rate * (nesterov ? (full[i] as number) + momentum * (velocity[i] as number) : (velocity[i] as number)));
    return [fromNumbers(p.type, p.dims, next), fromNumbers(p.type, p.dims, velocity)];
  },
});
