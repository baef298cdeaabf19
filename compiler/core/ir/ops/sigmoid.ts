import { unary } from "./_elementwise.js";

export const sigmoid = unary("sigmoid", "1 / (1 + exp(-x))", (x) => 1 / (1 + Math.exp(-x)), { flops: 8 });
