import { unary } from "./_elementwise.js";

export const sqrt = unary("sqrt", "square root", (x) => Math.sqrt(x), { flops: 4 });
