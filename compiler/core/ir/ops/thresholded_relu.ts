import { z } from "zod";
import { num } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";

export const thresholdedRelu = unary("thresholded_relu", "x where above alpha, else 0", (x, op) => (x > num(op, "alpha", 1) ? x : 0), {
  attrs: attrs({ alpha: z.number().optional() }),
  flops: 2,
});
