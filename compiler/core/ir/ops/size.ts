import { defineOp } from "../op.js";
import { i64 } from "../tensor.js";
import { elementCount, tensorType } from "../types.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";

export const size = defineOp({
  kind: "size",
  summary: "Number of elements",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const n = elementCount(ctx.shape(0));
    return { types: [tensorType("i64", [])], ...(n === null ? {} : { content: [n] }) };
  },
  evaluate: (_, inputs) => [i64([need(inputs, 0).data.length], [])],
});
