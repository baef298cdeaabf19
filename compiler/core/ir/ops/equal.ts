import { sameDim, UNKNOWN_DIM } from "../types.js";
import { comparison } from "./_elementwise.js";
import { numericTypes } from "./_infer.js";

/** A symbol is a dimension: never equal to a negative number. */
export const equal = comparison(
  "equal",
  "a == b",
  (a, b) => (a === b ? 1 : 0),
  (a, b) => a === b,
  {
    types: [...numericTypes, "bool", "string"],
    symbolic: ([a, b]) => (sameDim(a!, b!) ? 1 : (a as number) < 0 || (b as number) < 0 ? 0 : UNKNOWN_DIM),
  },
);
