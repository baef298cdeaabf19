import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { i64 } from "../tensor.js";
import { tensorType, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { one } from "./_infer.js";

export const shape = defineOp({
  kind: "shape",
  summary: "The dimensions of a tensor, or those from `start` to `end`",
  attrs: attrs({ start: int.optional(), end: int.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const s = ctx.shape(0);
    if (s === null) return one(tensorType("i64", [UNKNOWN_DIM]));
    const part = s.slice(num(ctx.op, "start", 0), ctx.attrs["end"] === undefined ? undefined : num(ctx.op, "end", 0));
    return { types: [tensorType("i64", [part.length])], content: part };
  },
  evaluate: (op, inputs) => [i64(need(inputs, 0).dims.slice(num(op, "start", 0), op.attrs["end"] === undefined ? undefined : num(op, "end", 0)))],
});
