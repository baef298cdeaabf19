import { comparison } from "./_elementwise.js";

export const lessOrEqual = comparison(
  "less_or_equal",
  "a <= b",
  (a, b) => (a! <= b! ? 1 : 0),
  (a, b) => a <= b,
);
