import { reduction } from "./_reduce.js";

export const reduceLogSum = reduction("reduce_log_sum", "Logarithm of the sum over axes", {
  start: 0,
  step: (a, x) => a + x,
  finish: (a) => Math.log(a),
});
