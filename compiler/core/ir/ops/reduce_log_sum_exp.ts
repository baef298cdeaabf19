import { reduction } from "./_reduce.js";

export const reduceLogSumExp = reduction("reduce_log_sum_exp", "Logarithm of the sum of exponentials over axes", {
  start: Number.NEGATIVE_INFINITY,
  step: (a, x) => (a > x ? a + Math.log1p(Math.exp(x - a)) : x === Number.NEGATIVE_INFINITY ? x : x + Math.log1p(Math.exp(a - x))),
});
