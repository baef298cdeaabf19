import { reduction } from "./_reduce.js";

export const reduceProd = reduction("reduce_prod", "Product over axes", { start: 1, step: (a, x) => a * x, big: (a, x) => a * x });
