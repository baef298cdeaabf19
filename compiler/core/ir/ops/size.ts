import { defineOp } from "../op.js";
import { i64 } from "../tensor.js";
import { tensorType, UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { productDim } from "./_infer.js";

export const size = defineOp({
  kind: "size",
  summary: "Number of elements",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const s = ctx.shape(0);
    const n = s === null ? UNKNOWN_DIM : productDim(s);
    return { types: [tensorType("i64", [])], content: [n] };
  },
  evaluate: (_, inputs) => [i64([need(inputs, 0).data.length], [])],
});
