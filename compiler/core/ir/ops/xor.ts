import { comparison } from "./_elementwise.js";

export const xor = comparison("xor", "a or b, not both", (a, b) => (!a !== !b ? 1 : 0), undefined, { types: ["bool"] });
