import { nums } from "../graph.js";
import { defineOp } from "../op.js";
import { attrs, ints } from "./_attrs.js";
import { gatherStrided, need, stridesOf } from "./_eval.js";
import { checked, one, unknown } from "./_infer.js";

export const transpose = defineOp({
  kind: "transpose",
  summary: "Axes in another order; reversed without `perm`",
  attrs: attrs({ perm: ints.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    const { shape } = x;
    const perm = ctx.attrs["perm"] === undefined ? shape.map((_, i) => shape.length - 1 - i) : nums(ctx.op, "perm");
    if ([...perm].sort((a, b) => a - b).some((p, i) => p !== i) || perm.length !== shape.length)
      ctx.fail(`perm [${perm.join(", ")}] is no order of ${shape.length} axes`);
    return one(
      checked(
        ctx,
        x.elem,
        perm.map((p) => shape[p]!),
      ),
    );
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const perm = op.attrs["perm"] === undefined ? x.dims.map((_, i) => x.dims.length - 1 - i) : nums(op, "perm");
    const strides = stridesOf(x.dims);
    return [
      gatherStrided(
        x,
        perm.map((p) => x.dims[p] as number),
        perm.map((p) => strides[p] as number),
      ),
    ];
  },
});
