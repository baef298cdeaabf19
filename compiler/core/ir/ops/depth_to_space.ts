import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { depthToSpace as rearrange } from "./_blocks.js";
import { need } from "./_eval.js";
import { checked, needRank, one, unknown } from "./_infer.js";

export const depthToSpace = defineOp({
  kind: "depth_to_space",
  summary: "Blocks of channels become blocks of pixels",
  attrs: attrs({ blocksize: int, mode: z.enum(["DCR", "CRD"]).optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    const s = needRank(ctx, 0, 4, 4);
    if (x === null) return unknown(ctx);
    const b = num(ctx.op, "blocksize", 1);
    if (b < 1 || (typeof s?.[1] === "number" && s[1] % (b * b) !== 0)) ctx.fail(`${s?.[1]} channels do not divide into blocks of ${b} x ${b}`);
    const times = (d: Dim, k: number): Dim => (typeof d === "number" ? d * k : UNKNOWN_DIM);
    return one(
      checked(ctx, x.elem, s === null ? null : [s[0]!, typeof s[1] === "number" ? s[1] / (b * b) : UNKNOWN_DIM, times(s[2]!, b), times(s[3]!, b)]),
    );
  },
  evaluate: (op, inputs) => [rearrange(op, need(inputs, 0), str(op, "mode", "DCR") === "CRD")],
});
