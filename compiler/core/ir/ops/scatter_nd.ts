import { z } from "zod";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs } from "./_attrs.js";
import { need, stridesOf } from "./_eval.js";
import { product } from "./_infer.js";
import { combine, scattered } from "./_scatter.js";

export const scatterNd = defineOp({
  kind: "scatter_nd",
  summary: "Copy of a tensor with slices replaced at index tuples",
  attrs: attrs({ reduction: z.enum(["none", "add", "mul", "min", "max"]).optional() }),
  inputs: [3, 3],
  outputs: [1, 1],
  infer: (ctx) => scattered(ctx),
  evaluate(op, inputs) {
    const [x, indices, updates] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
    const depth = indices.dims.at(-1) as number;
    const inner = product(x.dims.slice(depth));
    const strides = stridesOf(x.dims);
    const [out, u] = [toNumbers(x), toNumbers(updates)];
    const f = combine(op.attrs);
    for (let t = 0; t < indices.data.length / Math.max(1, depth); t++) {
      let at = 0;
      for (let d = 0; d < depth; d++) {
        const size = x.dims[d] as number;
        const v = Number((indices.data as BigInt64Array)[t * depth + d]);
        if (v < -size || v >= size) throw new RangeError(`index ${v} is outside an axis of size ${size}`);
        at += (v < 0 ? v + size : v) * (strides[d] as number);
      }
      for (let i = 0; i < inner; i++) out[at + i] = f(out[at + i] as number, u[t * inner + i] as number);
    }
    return [fromNumbers(x.type, x.dims, out)];
  },
});
