import { defineOp } from "../op.js";
import type { Dim } from "../types.js";
import { none } from "./_attrs.js";
import { broadcastDims, broadcastStrides, gatherStrided, integers, need } from "./_eval.js";
import { broadcast, checked, needRank, one, unknown, unknownShape, withContent } from "./_infer.js";

export const expand = defineOp({
  kind: "expand",
  summary: "Broadcast to a shape",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const target = ctx.content(1);
    if (target === null) {
      const rank = needRank(ctx, 1, 1, 1)?.[0];
      const known = typeof rank === "number" && rank <= 64 && x.shape !== null;
      return one(checked(ctx, x.elem, known ? unknownShape(Math.max(x.shape.length, rank)) : null));
    }
    const shape = broadcast(ctx, [x.shape, target]);
    const content = ctx.content(0);
    const n = shape?.length === 1 ? shape[0] : undefined;
    return withContent(
      one(checked(ctx, x.elem, shape)),
      content?.length === 1 && typeof n === "number" && n <= 64 ? new Array<Dim>(n).fill(content[0] as Dim) : undefined,
    );
  },
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const dims = broadcastDims([x.dims, integers(need(inputs, 1)) as number[]]);
    return [gatherStrided(x, dims, broadcastStrides(x.dims, dims))];
  },
});
