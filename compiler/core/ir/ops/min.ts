import { variadic } from "./_elementwise.js";

export const min = variadic("min", "Least operand, element by element", Math.min, (...v) => v.reduce((a, b) => (b < a ? b : a)));
