import { unary } from "./_elementwise.js";

export const sign = unary("sign", "-1, 0 or 1", (x) => Math.sign(x), { big: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n) });
