import { flag } from "../graph.js";
import { defineOp } from "../op.js";
import { tensorType } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { mapTensors, need } from "./_eval.js";
import { one } from "./_infer.js";

export const isInf = defineOp({
  kind: "is_inf",
  summary: "Whether x is infinite, of the wanted signs",
  attrs: attrs({ detect_negative: bool01.optional(), detect_positive: bool01.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => one(tensorType("bool", ctx.shape(0))),
  evaluate(op, inputs) {
    const up = flag(op, "detect_positive", true);
    const down = flag(op, "detect_negative", true);
    return [
      mapTensors([need(inputs, 0)], "bool", (x) => ((up && x === Number.POSITIVE_INFINITY) || (down && x === Number.NEGATIVE_INFINITY) ? 1 : 0)),
    ];
  },
});
