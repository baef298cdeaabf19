import { unary } from "./_elementwise.js";

export const neg = unary("neg", "-x", (x) => -x, { big: (x) => -x });
