/** Constants from written values: `dense`, `splat`, `random`, `iota` of the text form. */
import { randomFrom } from "../random.js";
import { countOf, fromNumbers, type Tensor, tensor } from "./tensor.js";
import { type ElementType, elementTypes, integerRange, isInteger } from "./types.js";

/** Most elements that a written initializer may have: a test needs few, and hostile text must not take the memory. */
export const MAX_WRITTEN = 1 << 24;

const big = (t: ElementType): boolean => t === "i64" || t === "u64";
const lanesOf = (t: ElementType): number => (elementTypes[t].kind === "complex" ? 2 : 1);

/** Numbers as they are written; NaN for what is none. */
export const readNumber = (text: string): number =>
  text === "inf" ? Number.POSITIVE_INFINITY : text === "-inf" ? Number.NEGATIVE_INFINITY : text === "nan" ? Number.NaN : Number(text);

/** Whether an integer type can hold the number. */
function fits(type: ElementType, text: string): boolean {
  if (big(type)) {
    if (!/^-?\d{1,20}$/.test(text)) return false;
    const v = BigInt(text);
    return type === "i64" ? BigInt.asIntN(64, v) === v : BigInt.asUintN(64, v) === v;
  }
  const v = readNumber(text);
  if (type === "bool") return v === 0 || v === 1;
  if (!isInteger(type)) return true;
  const [min, max] = integerRange(type);
  return Number.isInteger(v) && v >= min && v <= max;
}

/** The tensor of written elements (texts of numbers; strings for strings). `null` when the count is wrong or an element does not fit the type. */
export function denseTensor(type: ElementType, dims: readonly number[], texts: readonly string[]): Tensor | null {
  if (texts.length !== countOf(dims) * lanesOf(type)) return null;
  if (type === "string") return tensor(type, dims, texts);
  if (!texts.every((t) => fits(type, t))) return null;
  if (big(type))
    return tensor(
      type,
      dims,
      texts.map((t) => BigInt(t)),
    );
  return elementTypes[type].kind === "complex" ? tensor(type, dims, texts.map(readNumber)) : fromNumbers(type, dims, texts.map(readNumber));
}

/** `splat(v)`: every element v; `iota(start, step)`; `random(seed, lo, hi)`: uniform on [lo, hi), whole numbers on [lo, hi] for integers. */
export function writtenTensor(how: "splat" | "iota" | "random", type: ElementType, dims: readonly number[], args: readonly number[]): Tensor | null {
  if (type === "string" || elementTypes[type].kind === "complex") return null;
  const n = countOf(dims);
  const whole = isInteger(type) || type === "bool";
  const value = generator(how, whole, args);
  if (value === null) return null;
  const values = Array.from({ length: n }, (_, i) => value(i));
  if (whole && !values.every((v) => fits(type, String(v)))) return null;
  return fromNumbers(type, dims, values);
}

function generator(how: "splat" | "iota" | "random", whole: boolean, args: readonly number[]): ((i: number) => number) | null {
  const [first = 0, second, third] = args;
  switch (how) {
    case "splat":
      return args.length === 1 ? () => first : null;
    case "iota": {
      const step = second ?? 1;
      return args.length <= 2 ? (i) => first + i * step : null;
    }
    case "random": {
      if (args.length === 0 || args.length === 2 || args.length > 3) return null;
      const next = randomFrom(first);
      const [lo, hi] = [second ?? (whole ? 0 : -1), third ?? 1];
      return whole ? () => lo + Math.floor(next() * (hi - lo + 1)) : () => lo + next() * (hi - lo);
    }
  }
}
