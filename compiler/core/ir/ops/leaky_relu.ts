import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const leakyRelu = unary("leaky_relu", "x where positive, else alpha * x", (x, op) => (x < 0 ? num(op, "alpha", 0.01) * x : x), {
  attrs: attrs({ alpha: z.number().optional() }),
  flops: 2,
});
