import { comparison } from "./_elementwise.js";

export const equal = comparison("equal", "a = b", (a, b) => (a! === b! ? 1 : 0), (a, b) => a === b);
