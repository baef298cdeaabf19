export { lpPool } from "./_pool.js";
