import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { zeros } from "../tensor.js";
import { attrs, int } from "./_attrs.js";
import { need, normal, stridesOf, walk } from "./_eval.js";
import { axisOf, checked, needElem, one, unknown } from "./_infer.js";
import { indexOf } from "./gather.js";

export const gatherElements = defineOp({
  kind: "gather_elements",
  summary: "Elements along an axis, picked by an index of the result's shape",
  attrs: attrs({ axis: int.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 1, ["i64", "i32"]);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape !== null) {
      axisOf(ctx, num(ctx.op, "axis", 0), x.shape.length);
      if (ctx.shape(1) !== null && ctx.shape(1)?.length !== x.shape.length)
        ctx.fail(`the data has rank ${x.shape.length}, the indices rank ${ctx.shape(1)?.length}`);
    }
    return one(checked(ctx, x.elem, ctx.shape(1)));
  },
  evaluate(op, inputs) {
    const [x, indices] = [need(inputs, 0), need(inputs, 1)];
    const axis = normal(num(op, "axis", 0), x.dims.length);
    const strides = stridesOf(x.dims);
    const out = zeros(x.type, indices.dims);
    walk(
      indices.dims,
      strides.map((s, i) => (i === axis ? 0 : s)),
      (offset, i) => {
        (out.data as Float32Array)[i] = (x.data as Float32Array)[
          offset + indexOf(indices, i, x.dims[axis] as number) * (strides[axis] as number)
        ] as number;
      },
    );
    return [out];
  },
});
