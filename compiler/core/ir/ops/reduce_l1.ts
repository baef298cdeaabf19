import { reduction } from "./_reduce.js";

export const reduceL1 = reduction("reduce_l1", "Sum of absolute values over axes", { start: 0, step: (a, x) => a + Math.abs(x) });
