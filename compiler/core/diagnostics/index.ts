export { type Code, codes } from "./codes/index.js";
export * from "./diagnostic.js";
