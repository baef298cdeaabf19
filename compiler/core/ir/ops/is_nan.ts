import { defineOp } from "../op.js";
import { tensorType } from "../types.js";
import { none } from "./_attrs.js";
import { mapTensors, need } from "./_eval.js";
import { one } from "./_infer.js";

export const isNan = defineOp({
  kind: "is_nan",
  summary: "Whether x is NaN",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => one(tensorType("bool", ctx.shape(0))),
  evaluate: (_, inputs) => [mapTensors([need(inputs, 0)], "bool", (x) => (Number.isNaN(x) ? 1 : 0))],
});
