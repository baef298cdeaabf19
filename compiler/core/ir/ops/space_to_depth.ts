import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { spaceToDepth as rearrange } from "./_blocks.js";
import { need } from "./_eval.js";
import { checked, needRank, one, unknown } from "./_infer.js";

export const spaceToDepth = defineOp({
  kind: "space_to_depth",
  summary: "Blocks of pixels become blocks of channels",
  attrs: attrs({ blocksize: int }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    const s = needRank(ctx, 0, 4, 4);
    if (x === null) return unknown(ctx);
    const b = num(ctx.op, "blocksize", 1);
    const part = (d: Dim): Dim =>
      typeof d !== "number" ? UNKNOWN_DIM : b >= 1 && d % b === 0 ? d / b : ctx.fail(`a size of ${d} does not divide into blocks of ${b}`);
    return one(checked(ctx, x.elem, s === null ? null : [s[0]!, typeof s[1] === "number" ? s[1] * b * b : UNKNOWN_DIM, part(s[2]!), part(s[3]!)]));
  },
  evaluate: (op, inputs) => [rearrange(op, need(inputs, 0))],
});
