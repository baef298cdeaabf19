import { unary } from "./_elementwise.js";

export const cosh = unary("cosh", "hyperbolic cosine", (x) => Math.cosh(x), { flops: 8 });
