import { UNKNOWN_DIM } from "../types.js";
import { arithmetic } from "./_elementwise.js";

/** 32-bit products pass 2^53: they are taken modulo 2^64 as exact integers, and storing them wraps. */
const product = (a: number, b: number): number => {
  const p = a * b;
  return Number.isSafeInteger(p) ? p : Number(BigInt.asIntN(32, BigInt(a) * BigInt(b)));
};

export const mul = arithmetic(
  "mul",
  "a * b",
  (a, b, integer) => (integer ? product(a, b) : a * b),
  (a, b) => a! * b!,
  { symbolic: ([a, b]) => (a === 1 ? b! : b === 1 ? a! : a === 0 || b === 0 ? 0 : UNKNOWN_DIM) },
);
