import { z } from "zod";
import { num, str } from "../graph.js";
import { defineOp } from "../op.js";
import { attrs, bool01 } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, one, unknown, withContent } from "./_infer.js";
import { castTensor } from "./cast.js";

export const castLike = defineOp({
  kind: "cast_like",
  summary: "The values of the first operand in the element type of the second",
  attrs: attrs({ saturate: bool01.optional(), round_mode: z.enum(["up", "down", "nearest"]).optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const t = ctx.type(1);
    return t === null ? unknown(ctx) : withContent(one(checked(ctx, t.elem, ctx.shape(0))), t.elem === "bool" ? null : ctx.content(0));
  },
  evaluate: (op, inputs) => [castTensor(need(inputs, 0), need(inputs, 1).type, num(op, "saturate", 1) === 1, str(op, "round_mode", "up"))],
});
