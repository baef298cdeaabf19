import { arithmetic, fusedAttrs } from "./_elementwise.js";
import { addDim } from "./_infer.js";

export const add = arithmetic(
  "add",
  "a + b",
  (a, b) => a + b,
  (a, b) => a! + b!,
  { attrs: fusedAttrs, symbolic: ([a, b]) => addDim(a!, b!) },
);
