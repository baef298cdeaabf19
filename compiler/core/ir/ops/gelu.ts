import { z } from "zod";
import type { Op } from "../graph.js";
import { str } from "../graph.js";
import { attrs } from "./_attrs.js";
import { unary } from "./_elementwise.js";
import { erf } from "./_special.js";

const geluOf = (x: number, op: Op): number =>
  str(op, "approximate", "none") === "tanh"
    ? 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)))
    : 0.5 * x * (1 + erf(x / Math.SQRT2));

export const gelu = unary("gelu", "x * Phi(x), exact or by the tanh approximation", geluOf, {
  attrs: attrs({ approximate: z.enum(["none", "tanh"]).optional() }),
  flops: 18,
});
