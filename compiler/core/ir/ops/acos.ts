import { unary } from "./_elementwise.js";

export const acos = unary("acos", "arc cosine", (x) => Math.acos(x), { flops: 8 });
