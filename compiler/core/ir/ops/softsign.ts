import { unary } from "./_elementwise.js";

export const softsign = unary("softsign", "x / (1 + |x|)", (x) => x / (1 + Math.abs(x)), { flops: 3 });
