import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs, int } from "./_attrs.js";
import { need, normal, stridesOf, walk } from "./_eval.js";
import { combine, scattered } from "./_scatter.js";
import { indexOf } from "./gather.js";

export const scatterElements = defineOp({
  kind: "scatter_elements",
  summary: "Copy of a tensor with elements replaced along an axis",
  attrs: attrs({ axis: int.optional(), reduction: z.enum(["none", "add", "mul", "min", "max"]).optional() }),
  inputs: [3, 3],
  outputs: [1, 1],
  infer: (ctx) => scattered(ctx),
  evaluate(op, inputs) {
    const [x, indices, updates] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
    const axis = normal(num(op, "axis", 0), x.dims.length);
    const strides = stridesOf(x.dims);
    const [out, u] = [toNumbers(x), toNumbers(updates)];
    const f = combine(op.attrs);
    walk(
      indices.dims,
      strides.map((s, i) => (i === axis ? 0 : s)),
      (offset, i) => {
        const at = offset + indexOf(indices, i, x.dims[axis] as number) * (strides[axis] as number);
        out[at] = f(out[at] as number, u[i] as number);
      },
    );
    return [fromNumbers(x.type, x.dims, out)];
  },
});
