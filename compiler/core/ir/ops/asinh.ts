import { unary } from "./_elementwise.js";

export const asinh = unary("asinh", "inverse hyperbolic sine", (x) => Math.asinh(x), { flops: 8 });
