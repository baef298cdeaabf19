import { roundHalfEven } from "../tensor.js";
import { unary } from "./_elementwise.js";

/** Negative values that round to 0 give -0, as IEEE 754 asks. */
export const round = unary("round", "To the nearest integer, halves to even", (x) => {
  const r = roundHalfEven(x);
  return r === 0 && x < 0 ? -0 : r;
});
