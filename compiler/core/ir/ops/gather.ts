import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { type Tensor, zeros } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need, normal } from "./_eval.js";
import { axisOf, checked, needElem, one, product, unknown, withContent } from "./_infer.js";

/** Checks an index of a gather-like op against the axis; negative indices count from the end. */
export function indexOf(t: Tensor, i: number, size: number): number {
  const v = Number((t.data as BigInt64Array)[i]);
  if (v < -size || v >= size) throw new RangeError(`index ${v} is outside an axis of size ${size}`);
  return v < 0 ? v + size : v;
}

export const gather = defineOp({
  kind: "gather",
  summary: "Slices along an axis, picked by index",
  attrs: attrs({ axis: int.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 1, ["i64", "i32"]);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const indices = ctx.shape(1);
    if (x.shape === null || indices === null) return one(checked(ctx, x.elem, null));
    const axis = axisOf(ctx, num(ctx.op, "axis", 0), x.shape.length);
    const [content, picks] = [ctx.content(0), ctx.content(1)];
    const n = content?.length ?? 0;
    const picked =
      content === null || picks === null
        ? undefined
        : picks.map((p): Dim => (typeof p === "number" ? (content[p < 0 ? p + n : p] ?? UNKNOWN_DIM) : UNKNOWN_DIM));
    return withContent(one(checked(ctx, x.elem, [...x.shape.slice(0, axis), ...indices, ...x.shape.slice(axis + 1)])), picked);
  },
  evaluate(op, inputs) {
    const [x, indices] = [need(inputs, 0), need(inputs, 1)];
    const axis = normal(num(op, "axis", 0), x.dims.length);
    const size = x.dims[axis] as number;
    const [outer, inner] = [product(x.dims.slice(0, axis)), product(x.dims.slice(axis + 1))];
    const out = zeros(x.type, [...x.dims.slice(0, axis), ...indices.dims, ...x.dims.slice(axis + 1)]);
    const [from, to] = [x.data as Float32Array, out.data as Float32Array];
    const count = indices.data.length;
    for (let j = 0; j < count; j++) {
      const k = indexOf(indices, j, size);
      for (let o = 0; o < outer; o++) for (let i = 0; i < inner; i++) to[(o * count + j) * inner + i] = from[(o * size + k) * inner + i] as number;
    }
    return [out];
  },
});
