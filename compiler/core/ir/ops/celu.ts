import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const celu = unary(
  "celu",
  "max(0, x) + min(0, alpha * (exp(x / alpha) - 1))",
  (x, op) => Math.max(0, x) + Math.min(0, num(op, "alpha", 1) * Math.expm1(x / num(op, "alpha", 1))),
  { attrs: attrs({ alpha: z.number().optional() }), flops: 10 },
);
