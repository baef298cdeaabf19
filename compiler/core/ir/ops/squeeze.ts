import { defineOp } from "../op.js";
import { none } from "./_attrs.js";
import { integers, need, normal } from "./_eval.js";
import { axisOf, checked, one, unknown, withContent } from "./_infer.js";

/** Operands x, axes? (all axes of size 1 when absent). */
export const squeeze = defineOp({
  kind: "squeeze",
  summary: "Drops axes of size 1",
  attrs: none,
  inputs: [1, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    const { shape } = x;
    const given = ctx.op.inputs[1] == null ? undefined : ctx.content(1);
    if (given === null || given?.some((a) => typeof a !== "number")) return one(checked(ctx, x.elem, null));
    if (given === undefined && shape.some((d) => typeof d !== "number")) return one(checked(ctx, x.elem, null));
    const axes = new Set(
      given === undefined ? shape.flatMap((d, i) => (d === 1 ? [i] : [])) : given.map((a) => axisOf(ctx, a as number, shape.length)),
    );
    for (const a of axes)
      if (typeof shape[a] === "number" && shape[a] !== 1) ctx.fail(`axis ${a} has size ${shape[a]}`, "only axes of size 1 can be dropped");
    return withContent(
      one(
        checked(
          ctx,
          x.elem,
          shape.filter((_, i) => !axes.has(i)),
        ),
      ),
      ctx.content(0),
    );
  },
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const given = integers(inputs[1]);
    const axes = new Set(given === null ? x.dims.flatMap((d, i) => (d === 1 ? [i] : [])) : given.map((a) => normal(a, x.dims.length)));
    return [{ ...x, dims: x.dims.filter((_, i) => !axes.has(i)) }];
  },
});
