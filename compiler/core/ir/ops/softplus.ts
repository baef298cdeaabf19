import { unary } from "./_elementwise.js";

export const softplus = unary("softplus", "log(1 + exp(x))", (x) => (x > 30 ? x : Math.log1p(Math.exp(x))), { flops: 8 });
