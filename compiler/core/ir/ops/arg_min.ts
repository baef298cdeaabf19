import { argOp } from "./_arg.js";

export const argMin = argOp("arg_min", "Index of the least value along an axis", (a, b) => a < b);
