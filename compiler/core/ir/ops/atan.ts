import { unary } from "./_elementwise.js";

export const atan = unary("atan", "arc tangent", (x) => Math.atan(x), { flops: 8 });
