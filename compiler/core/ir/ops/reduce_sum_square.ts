import { reduction } from "./_reduce.js";

export const reduceSumSquare = reduction("reduce_sum_square", "Sum of squares over axes", { start: 0, step: (a, x) => a + x * x });
