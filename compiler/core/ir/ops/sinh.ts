import { unary } from "./_elementwise.js";

export const sinh = unary("sinh", "hyperbolic sine", (x) => Math.sinh(x), { flops: 8 });
