import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const elu = unary("elu", "x where positive, else alpha * (exp(x) - 1)", (x, op) => (x < 0 ? num(op, "alpha", 1) * Math.expm1(x) : x), {
  attrs: attrs({ alpha: z.number().optional() }),
  flops: 9,
});
