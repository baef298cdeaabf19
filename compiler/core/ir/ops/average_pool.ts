export { averagePool } from "./_pool.js";
