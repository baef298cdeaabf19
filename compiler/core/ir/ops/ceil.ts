import { unary } from "./_elementwise.js";

export const ceil = unary("ceil", "smallest integer not below x", (x) => Math.ceil(x));
