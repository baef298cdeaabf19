import { unary } from "./_elementwise.js";

export const tanh = unary("tanh", "hyperbolic tangent", (x) => Math.tanh(x), { flops: 8 });
