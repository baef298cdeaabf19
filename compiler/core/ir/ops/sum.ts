import { variadic } from "./_elementwise.js";

export const sum = variadic(
  "sum",
  "Sum of the operands",
  (...v) => v.reduce((a, b) => a + b),
  (...v) => v.reduce((a, b) => a + b),
);
