import { unary } from "./_elementwise.js";

export const abs = unary("abs", "absolute value", (x) => Math.abs(x), { big: (x) => (x < 0n ? -x : x) });
