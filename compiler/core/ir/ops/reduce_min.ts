import { reduction } from "./_reduce.js";

export const reduceMin = reduction("reduce_min", "Least value over axes", {
  start: Number.POSITIVE_INFINITY,
  step: (a, x) => Math.min(a, x),
  big: (a, x) => (x < a ? x : a),
});
