import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { zeros } from "../tensor.js";
import type { Dim } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need, stridesOf } from "./_eval.js";
import { checked, needElem, one, product, unknown } from "./_infer.js";

export const gatherNd = defineOp({
  kind: "gather_nd",
  summary: "Slices picked by index tuples",
  attrs: attrs({ batch_dims: int.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 1, ["i64", "i32"]);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const indices = ctx.shape(1);
    const last = indices?.at(-1);
    if (x.shape === null || indices === null || typeof last !== "number") return one(checked(ctx, x.elem, null));
    const batch = num(ctx.op, "batch_dims", 0);
    if (batch + last > x.shape.length) ctx.fail(`index tuples of ${last} after ${batch} batch axes do not fit rank ${x.shape.length}`);
    return one(checked(ctx, x.elem, [...indices.slice(0, -1), ...x.shape.slice(batch + last)] as Dim[]));
  },
  evaluate(op, inputs) {
    const [x, indices] = [need(inputs, 0), need(inputs, 1)];
    const batch = num(op, "batch_dims", 0);
    const depth = indices.dims.at(-1) as number;
    const inner = product(x.dims.slice(batch + depth));
    const out = zeros(x.type, [...indices.dims.slice(0, -1), ...x.dims.slice(batch + depth)]);
    const strides = stridesOf(x.dims);
    const tuples = indices.data.length / Math.max(1, depth);
    const perBatch = tuples / Math.max(1, product(indices.dims.slice(0, batch)));
    const batchSize = product(x.dims.slice(batch));
    for (let t = 0; t < tuples; t++) {
      let from = Math.floor(t / perBatch) * batchSize;
      for (let d = 0; d < depth; d++) {
        const size = x.dims[batch + d] as number;
        const v = Number((indices.data as BigInt64Array)[t * depth + d]);
        if (v < -size || v >= size) throw new RangeError(`index ${v} is outside an axis of size ${size}`);
        from += (v < 0 ? v + size : v) * (strides[batch + d] as number);
      }
      for (let i = 0; i < inner; i++) (out.data as Float32Array)[t * inner + i] = (x.data as Float32Array)[from + i] as number;
    }
    return [out];
  },
});
