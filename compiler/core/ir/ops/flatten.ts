import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, one, product, unknown } from "./_infer.js";

/** Product of dimensions: a single symbol among ones survives. */
const join = (dims: readonly Dim[]): Dim => {
  const rest = dims.filter((d) => d !== 1);
  if (rest.every((d) => typeof d === "number")) return product(rest as number[]);
  return rest.length === 1 ? (rest[0] as Dim) : UNKNOWN_DIM;
};

export const flatten = defineOp({
  kind: "flatten",
  summary: "Two axes: those before `axis` joined, and the others joined",
  attrs: attrs({ axis: int.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, [UNKNOWN_DIM, UNKNOWN_DIM]));
    const axis = num(ctx.op, "axis", 1);
    if (axis < -x.shape.length || axis > x.shape.length) ctx.fail(`axis ${axis} is outside rank ${x.shape.length}`);
    const at = axis < 0 ? axis + x.shape.length : axis;
    return one(checked(ctx, x.elem, [join(x.shape.slice(0, at)), join(x.shape.slice(at))]));
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const axis = num(op, "axis", 1);
    const at = axis < 0 ? axis + x.dims.length : axis;
    return [{ ...x, dims: [product(x.dims.slice(0, at)), product(x.dims.slice(at))] }];
  },
});
