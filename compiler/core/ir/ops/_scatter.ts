/** How a scatter combines an update with what is there. */
import { type Attrs, num, str } from "../graph.js";
import type { InferContext, Inferred } from "../op.js";
import { axisOf, like, needElem, needEqual, needSameElem } from "./_infer.js";

export const combine = (attrs: Attrs): ((old: number, update: number) => number) => {
  switch (str({ attrs }, "reduction", "none")) {
    case "add":
      return (a, b) => a + b;
    case "mul":
      return (a, b) => a * b;
    case "min":
      return Math.min;
    case "max":
      return Math.max;
    default:
      return (_, b) => b;
  }
};

/** The result has the data's type; indices and updates must fit it. */
export function scattered(ctx: InferContext): Inferred {
  needElem(ctx, 1, ["i64", "i32"]);
  needSameElem(ctx, [0, 2]);
  const [x, indices, updates] = [ctx.shape(0), ctx.shape(1), ctx.shape(2)];
  if (x === null || indices === null) return like(ctx);
  if (ctx.op.kind === "scatter_elements") {
    axisOf(ctx, num(ctx.op, "axis", 0), x.length);
    if (indices.length !== x.length) ctx.fail(`the data has rank ${x.length}, the indices rank ${indices.length}`);
    updates?.forEach((d, i) => {
      needEqual(ctx, d, indices[i], `axis ${i} of updates and indices differ`);
    });
    return like(ctx);
  }
  const depth = indices.at(-1);
  if (typeof depth === "number" && depth > x.length) ctx.fail(`index tuples of ${depth} do not fit rank ${x.length}`);
  if (typeof depth === "number" && updates !== null) {
    const want = [...indices.slice(0, -1), ...x.slice(depth)];
    if (updates.length !== want.length) ctx.fail(`the updates have rank ${updates.length}, rank ${want.length} is expected`);
    updates.forEach((d, i) => {
      needEqual(ctx, d, want[i], `axis ${i} of the updates does not fit`);
    });
  }
  return like(ctx);
}
