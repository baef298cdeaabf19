import { unary } from "./_elementwise.js";

export const acosh = unary("acosh", "inverse hyperbolic cosine", (x) => Math.acosh(x), { flops: 8 });
