import { comparison } from "./_elementwise.js";

export const greaterOrEqual = comparison(
  "greater_or_equal",
  "a >= b",
  (a, b) => (a! >= b! ? 1 : 0),
  (a, b) => a >= b,
);
