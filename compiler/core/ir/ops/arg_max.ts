import { argOp } from "./_arg.js";

export const argMax = argOp("arg_max", "Index of the greatest value along an axis", (a, b) => a > b);
