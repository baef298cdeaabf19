import { sameDim, UNKNOWN_DIM } from "../types.js";
import { arithmetic } from "./_elementwise.js";

export const sub = arithmetic(
  "sub",
  "a - b",
  (a, b) => a - b,
  (a, b) => a! - b!,
  { symbolic: ([a, b]) => (b === 0 ? a! : sameDim(a!, b!) ? 0 : UNKNOWN_DIM) },
);
