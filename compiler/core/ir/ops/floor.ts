import { unary } from "./_elementwise.js";

export const floor = unary("floor", "largest integer not above x", (x) => Math.floor(x));
