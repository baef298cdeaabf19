import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const hardSigmoid = unary(
  "hard_sigmoid",
  "clip(alpha * x + beta, 0, 1)",
  (x, op) => Math.max(0, Math.min(1, num(op, "alpha", 0.2) * x + num(op, "beta", 0.5))),
  { attrs: attrs({ alpha: z.number().optional(), beta: z.number().optional() }), flops: 3 },
);
