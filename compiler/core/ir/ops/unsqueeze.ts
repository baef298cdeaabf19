import { defineOp } from "../op.js";
import type { Dim } from "../types.js";
import { none } from "./_attrs.js";
import { integers, need, normal } from "./_eval.js";
import { axisOf, checked, one, unknown, unknownShape, withContent } from "./_infer.js";

const insert = <T>(dims: readonly T[], axes: ReadonlySet<number>, one: T): T[] => {
  const rest = [...dims];
  return Array.from({ length: dims.length + axes.size }, (_, i) => (axes.has(i) ? one : (rest.shift() as T)));
};

/** Operands x, axes (positions in the result). */
export const unsqueeze = defineOp({
  kind: "unsqueeze",
  summary: "Adds axes of size 1",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const given = ctx.content(1);
    if (x.shape === null || given === null) return one(checked(ctx, x.elem, null));
    const rank = x.shape.length + given.length;
    if (given.some((a) => typeof a !== "number")) return one(checked(ctx, x.elem, unknownShape(rank)));
    const axes = new Set(given.map((a) => axisOf(ctx, a as number, rank)));
    if (axes.size !== given.length) ctx.fail(`axes [${given.join(", ")}] repeat`);
    return withContent(one(checked(ctx, x.elem, insert<Dim>(x.shape, axes, 1))), ctx.content(0));
  },
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const given = integers(need(inputs, 1)) as number[];
    return [{ ...x, dims: insert(x.dims, new Set(given.map((a) => normal(a, x.dims.length + given.length))), 1) }];
  },
});
