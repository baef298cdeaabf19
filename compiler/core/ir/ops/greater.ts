import { comparison } from "./_elementwise.js";

export const greater = comparison(
  "greater",
  "a > b",
  (a, b) => (a! > b! ? 1 : 0),
  (a, b) => a > b,
);
