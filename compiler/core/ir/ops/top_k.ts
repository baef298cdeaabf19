import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, tensor, toNumbers } from "../tensor.js";
import { tensorType, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01, int } from "./_attrs.js";
import { integers, need, normal } from "./_eval.js";
import { axisOf, product, unknown } from "./_infer.js";

/** Source: ONNX TopK. Ties keep the lower index first. */
export const topK = defineOp({
  kind: "top_k",
  summary: "The k greatest (or least) values along an axis, and their indices",
  attrs: attrs({ axis: int.optional(), largest: bool01.optional(), sorted: bool01.optional() }),
  inputs: [2, 2],
  outputs: [2, 2],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return { types: [tensorType(x.elem, null), tensorType("i64", null)] };
    const axis = axisOf(ctx, num(ctx.op, "axis", -1), x.shape.length);
    const k = ctx.content(1)?.[0] ?? UNKNOWN_DIM;
    const size = x.shape[axis];
    if (typeof k === "number" && (k < 0 || (typeof size === "number" && k > size))) ctx.fail(`k is ${k}`, `axis ${axis} has ${size} elements`);
    const shape = x.shape.map((d, i) => (i === axis ? k : d));
    return { types: [tensorType(x.elem, shape), tensorType("i64", shape)] };
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const k = integers(inputs[1])?.[0] as number;
    const axis = normal(num(op, "axis", -1), x.dims.length);
    const size = x.dims[axis] as number;
    const [outer, inner] = [product(x.dims.slice(0, axis)), product(x.dims.slice(axis + 1))];
    const sign = num(op, "largest", 1) === 1 ? -1 : 1;
    const v = toNumbers(x);
    const dims = x.dims.map((d, i) => (i === axis ? k : d));
    const values = new Float64Array(product(dims));
    const indices = new Array<number>(values.length).fill(0);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        const at = (j: number): number => v[(o * size + j) * inner + i] as number;
        const order = Array.from({ length: size }, (_, j) => j).sort((a, b) => sign * (at(a) - at(b)) || a - b);
        for (let j = 0; j < k; j++) {
          values[(o * k + j) * inner + i] = at(order[j] as number);
          indices[(o * k + j) * inner + i] = order[j] as number;
        }
      }
    }
    return [fromNumbers(x.type, dims, values), tensor("i64", dims, indices)];
  },
});
