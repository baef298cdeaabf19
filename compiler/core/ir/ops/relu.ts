import { unary } from "./_elementwise.js";

export const relu = unary("relu", "max(x, 0)", (x) => (x > 0 || Number.isNaN(x) ? x : 0), { big: (x) => (x > 0n ? x : 0n) });
