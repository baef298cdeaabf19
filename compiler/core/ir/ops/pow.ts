import { defineOp } from "../op.js";
import { none } from "./_attrs.js";
import { isBig, mapTensors, need } from "./_eval.js";
import { broadcast, checked, one, product, unknown } from "./_infer.js";

export const pow = defineOp({
  kind: "pow",
  summary: "a to the b; the result has the type of a",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const a = ctx.type(0);
    return a === null ? unknown(ctx) : one(checked(ctx, a.elem, broadcast(ctx, [ctx.shape(0), ctx.shape(1)])));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 16 * product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const a = need(inputs, 0);
    const b = need(inputs, 1);
    if (isBig(a.type) && isBig(b.type)) return [mapTensors([a, b], a.type, Math.pow, (x, y) => (y! < 0n ? (x === 1n ? 1n : 0n) : x! ** y!))];
    return [mapTensors([a, b], a.type, (x, y) => x! ** y!)];
  },
});
