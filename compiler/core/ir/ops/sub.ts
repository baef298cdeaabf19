import { arithmetic } from "./_elementwise.js";

export const sub = arithmetic("sub", "a - b", (a, b) => a - b, (a, b) => a! - b!);
