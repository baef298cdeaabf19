import { UNKNOWN_DIM } from "../types.js";
import { arithmetic } from "./_elementwise.js";

/** Division by an integer zero has no result in ONNX; 0 is given. */
export const div = arithmetic(
  "div",
  "a / b; integers truncate toward zero",
  (a, b, integer) => (integer ? (b === 0 ? 0 : Math.trunc(a / b)) : a / b),
  (a, b) => (b === 0n ? 0n : a! / b!),
  { symbolic: ([a, b]) => (b === 1 ? a! : UNKNOWN_DIM) },
);
