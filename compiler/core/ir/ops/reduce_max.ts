import { reduction } from "./_reduce.js";

export const reduceMax = reduction("reduce_max", "Greatest value over axes", {
  start: Number.NEGATIVE_INFINITY,
  step: (a, x) => Math.max(a, x),
  big: (a, x) => (x > a ? x : a),
});
