import { arithmetic, fusedAttrs } from "./_elementwise.js";

export const add = arithmetic("add", "a + b", (a, b) => a + b, (a, b) => a! + b!, { attrs: fusedAttrs });
