import { reduction } from "./_reduce.js";

export const reduceSum = reduction("reduce_sum", "Sum over axes", { start: 0, step: (a, x) => a + x, big: (a, x) => a + x });
