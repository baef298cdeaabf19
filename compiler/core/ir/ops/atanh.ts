import { unary } from "./_elementwise.js";

export const atanh = unary("atanh", "inverse hyperbolic tangent", (x) => Math.atanh(x), { flops: 8 });
