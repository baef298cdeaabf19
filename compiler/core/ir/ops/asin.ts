import { unary } from "./_elementwise.js";

export const asin = unary("asin", "arc sine", (x) => Math.asin(x), { flops: 8 });
