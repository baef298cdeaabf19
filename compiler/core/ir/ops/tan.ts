import { unary } from "./_elementwise.js";

export const tan = unary("tan", "tangent", (x) => Math.tan(x), { flops: 8 });
