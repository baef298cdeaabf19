import { comparison } from "./_elementwise.js";

export const less = comparison(
  "less",
  "a < b",
  (a, b) => (a! < b! ? 1 : 0),
  (a, b) => a < b,
);
