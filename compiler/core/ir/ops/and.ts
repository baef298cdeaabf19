import { comparison } from "./_elementwise.js";

export const and = comparison("and", "a and b", (a, b) => (a! && b! ? 1 : 0), undefined, { types: ["bool"] });
