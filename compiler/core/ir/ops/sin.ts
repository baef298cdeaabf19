import { unary } from "./_elementwise.js";

export const sin = unary("sin", "sine", (x) => Math.sin(x), { flops: 8 });
