import { unary } from "./_elementwise.js";

export const log = unary("log", "natural logarithm", (x) => Math.log(x), { flops: 8 });
