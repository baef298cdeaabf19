import { globalPool } from "./_pool.js";

export const globalMaxPool = globalPool("global_max_pool", "Greatest value over all spatial positions", Number.NEGATIVE_INFINITY, Math.max, (v) => v);
