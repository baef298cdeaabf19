import { unary } from "./_elementwise.js";

export const reciprocal = unary("reciprocal", "1 / x", (x) => 1 / x);
