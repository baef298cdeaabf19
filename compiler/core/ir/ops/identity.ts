import { defineOp } from "../op.js";
import { UNKNOWN } from "../types.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { withContent } from "./_infer.js";

export const identity = defineOp({
  kind: "identity",
  summary: "The operand itself",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => withContent({ types: [ctx.op.inputs[0]?.type ?? UNKNOWN] }, ctx.content(0)),
  evaluate: (_, inputs) => [need(inputs, 0)],
});
