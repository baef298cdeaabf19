import { unary } from "./_elementwise.js";

export const mish = unary("mish", "x * tanh(softplus(x))", (x) => x * Math.tanh(x > 30 ? x : Math.log1p(Math.exp(x))), { flops: 16 });
