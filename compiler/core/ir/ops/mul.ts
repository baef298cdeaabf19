import { arithmetic } from "./_elementwise.js";

export const mul = arithmetic("mul", "a * b", (a, b) => a * b, (a, b) => a! * b!);
