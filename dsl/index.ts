/** The language: models, data and plans in `.cplan` files. */
export * from "./checked.js";
export * from "./declarations.js";
export * from "./sink.js";
