import { unary } from "./_elementwise.js";

export const exp = unary("exp", "e to the x", (x) => Math.exp(x), { flops: 8 });
