import { roundHalfEven } from "../tensor.js";
import { unary } from "./_elementwise.js";

export const round = unary("round", "Nearest integer, halves to even", (x) => (Number.isFinite(x) ? roundHalfEven(x) : x));
