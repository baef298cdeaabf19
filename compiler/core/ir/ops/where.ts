import { defineOp } from "../op.js";
import type { Tensor } from "../tensor.js";
import { UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { broadcastDims, broadcastStrides, gatherStrided, need } from "./_eval.js";
import { broadcast, checked, mapContent, needElem, needSameElem, one, product, unknown, withContent } from "./_infer.js";

export const where = defineOp({
  kind: "where",
  summary: "a where the condition holds, else b; all three broadcast",
  attrs: none,
  inputs: [3, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, ["bool"]);
    const t = needSameElem(ctx, [1, 2]);
    if (t === null) return unknown(ctx);
    const condition = ctx.content(0);
    const [a, b] = [ctx.content(1), ctx.content(2)];
    const content =
      condition === null
        ? undefined
        : mapContent(
            [condition, a, b],
            ([c, x, y]) => (c ? x! : y!),
            ([c, x, y]) => (typeof c === "number" ? (c ? x! : y!) : UNKNOWN_DIM),
          );
    return withContent(one(checked(ctx, t.elem, broadcast(ctx, [ctx.shape(0), ctx.shape(1), ctx.shape(2)]))), content);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const [c, a, b] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
    const dims = broadcastDims([c.dims, a.dims, b.dims]);
    const pick = (t: Tensor): Tensor => gatherStrided(t, dims, broadcastStrides(t.dims, dims));
    const [cc, aa, bb] = [pick(c), pick(a), pick(b)];
    const out = aa.data as Float32Array;
    (cc.data as Uint8Array).forEach((v, i) => {
      if (!v) out[i] = (bb.data as Float32Array)[i] as number;
    });
    return [aa];
  },
});
