import { variadic } from "./_elementwise.js";

export const mean = variadic("mean", "Mean of the operands", (...v) => v.reduce((a, b) => a + b) / v.length, undefined);
