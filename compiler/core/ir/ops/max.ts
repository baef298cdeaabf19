import { variadic } from "./_elementwise.js";

export const max = variadic("max", "Greatest operand, element by element", Math.max, (...v) => v.reduce((a, b) => (b > a ? b : a)));
