import { unary } from "./_elementwise.js";

export const not = unary("not", "not x", (x) => (x ? 0 : 1), { types: ["bool"] });
