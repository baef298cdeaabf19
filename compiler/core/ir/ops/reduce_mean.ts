import { reduction } from "./_reduce.js";

export const reduceMean = reduction("reduce_mean", "Mean over axes", { start: 0, step: (a, x) => a + x, finish: (a, n) => a / n });
