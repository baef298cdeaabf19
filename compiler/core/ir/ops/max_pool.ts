export { maxPool } from "./_pool.js";
