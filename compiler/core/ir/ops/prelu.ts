import { defineOp } from "../op.js";
import { tensorType } from "../types.js";
import { none } from "./_attrs.js";
import { mapTensors, need } from "./_eval.js";
import { broadcast, one, product, unknown } from "./_infer.js";

export const prelu = defineOp({
  kind: "prelu",
  summary: "x where positive, else slope * x; the slope broadcasts to x",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    broadcast(ctx, [x.shape, ctx.shape(1)]);
    return one(tensorType(x.elem, x.shape));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 2 * product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    return [
      mapTensors(
        [x, need(inputs, 1)],
        x.type,
        (a, s) => (a! < 0 ? a! * s! : a!),
        (a, s) => (a! < 0n ? a! * s! : a!),
      ),
    ];
  },
});
