import { unary } from "./_elementwise.js";

export const cos = unary("cos", "cosine", (x) => Math.cos(x), { flops: 8 });
