import { comparison } from "./_elementwise.js";

export const or = comparison("or", "a or b", (a, b) => (a! || b! ? 1 : 0), undefined, { types: ["bool"] });
