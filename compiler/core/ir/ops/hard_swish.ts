import { unary } from "./_elementwise.js";

export const hardSwish = unary("hard_swish", "x * clip(x / 6 + 0.5, 0, 1)", (x) => x * Math.max(0, Math.min(1, x / 6 + 0.5)), { flops: 4 });
