import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, type Type, tensorType, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { gatherStrided, integers, need, normal, stridesOf } from "./_eval.js";
import { axisOf, unknown } from "./_infer.js";

/** Part sizes along the axis: given by the second operand, or equal parts with a smaller last one (num_outputs). */
const parts = (size: number, outputs: number): number[] => {
  const part = Math.ceil(size / outputs);
  return Array.from({ length: outputs }, (_, i) => Math.max(0, Math.min(part, size - i * part)));
};

export const split = defineOp({
  kind: "split",
  summary: "Parts of a tensor along an axis",
  attrs: attrs({ axis: int.optional(), num_outputs: int.optional() }),
  inputs: [1, 2],
  outputs: [1, Number.POSITIVE_INFINITY],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return { types: new Array<Type>(ctx.outputCount).fill(tensorType(x.elem, null)) };
    const { shape } = x;
    const axis = axisOf(ctx, num(ctx.op, "axis", 0), shape.length);
    const size = shape[axis] as Dim;
    const given = ctx.op.inputs[1] == null ? null : ctx.content(1);
    const sizes: readonly Dim[] =
      given ??
      (ctx.op.inputs[1] == null && typeof size === "number" ? parts(size, ctx.outputCount) : new Array<Dim>(ctx.outputCount).fill(UNKNOWN_DIM));
    if (sizes.length !== ctx.outputCount) ctx.fail(`${sizes.length} part sizes for ${ctx.outputCount} outputs`);
    if (typeof size === "number" && sizes.every((s) => typeof s === "number") && (sizes as number[]).reduce((a, b) => a + b, 0) !== size)
      ctx.fail(`the parts [${sizes.join(", ")}] do not add up to ${size}`);
    return {
      types: sizes.map((s) =>
        tensorType(
          x.elem,
          shape.map((d, i) => (i === axis ? s : d)),
        ),
      ),
    };
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const axis = normal(num(op, "axis", 0), x.dims.length);
    const sizes = integers(inputs[1]) ?? parts(x.dims[axis] as number, op.outputs.length);
    const strides = stridesOf(x.dims);
    let at = 0;
    return sizes.map((size) => {
      const t = gatherStrided(
        x,
        x.dims.map((d, i) => (i === axis ? size : d)),
        strides,
        at * (strides[axis] as number),
      );
      at += size;
      return t;
    });
  },
});
