import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const selu = unary(
  "selu",
  "gamma * (alpha * (exp(x) - 1)) where negative, else gamma * x",
  (x, op) => num(op, "gamma", 1.0507009873554805) * (x > 0 ? x : num(op, "alpha", 1.6732632423543772) * Math.expm1(x)),
  { attrs: attrs({ alpha: z.number().optional(), gamma: z.number().optional() }), flops: 10 },
);
