import { defineOp } from "../../op.js";
import { none } from "../_attrs.js";
import { mapTensors, need } from "../_eval.js";
import { floatTypes, like, needElem, needSameElem, product } from "../_infer.js";

/** Gradient of relu: dy where the forward result y is above 0, else 0. */
export const trainReluBackward = defineOp({
  kind: "train.relu_backward",
  summary: "Gradient of relu: dy where y > 0, else 0",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    needSameElem(ctx, [0, 1]);
    return like(ctx, 1);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: product(outputs[0] ?? []) }),
  evaluate: (_, inputs) => [
    mapTensors([need(inputs, 0), need(inputs, 1)], need(inputs, 0).type, (dy, y) => ((y as number) > 0 ? (dy as number) : 0)),
  ],
});
