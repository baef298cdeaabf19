import { globalPool } from "./_pool.js";

export const globalAveragePool = globalPool(
  "global_average_pool",
  "Mean over all spatial positions",
  0,
  (a, b) => a + b,
  (v, area) => v / area,
);
