import { reduction } from "./_reduce.js";

export const reduceL2 = reduction("reduce_l2", "Square root of the sum of squares over axes", {
  start: 0,
  step: (a, x) => a + x * x,
  finish: (a) => Math.sqrt(a),
});
