import { arithmetic } from "./_elementwise.js";

export const div = arithmetic("div", "a / b; integers truncate toward zero", (a, b, integer) => (integer ? (b === 0 ? 0 : Math.trunc(a / b)) : a / b), (a, b) => (b === 0n ? 0n : a! / b!));
