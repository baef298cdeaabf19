/** Rounding to the 8- and 4-bit float formats with ONNX Cast's `saturate` and `round_mode`. */
import { fromNumbers } from "../tensor.js";
import type { ElementType } from "../types.js";

/** Largest finite value, and whether the value halfway to the next step (which overflows) rounds up (ties to even). */
const limits: {
  readonly [T in ElementType]?: { readonly max: number; readonly half: number; readonly tieOverflows: boolean; readonly overflow: number };
} = {
  f8e4m3fn: { max: 448, half: 464, tieOverflows: false, overflow: Number.NaN },
  f8e4m3fnuz: { max: 240, half: 248, tieOverflows: true, overflow: Number.NaN },
  f8e5m2: { max: 57344, half: 61440, tieOverflows: true, overflow: Number.POSITIVE_INFINITY },
  f8e5m2fnuz: { max: 57344, half: 61440, tieOverflows: true, overflow: Number.NaN },
};

export const isSmallFloat = (type: ElementType): boolean => limits[type] !== undefined || type === "f4e2m1" || type === "f8e8m0";

const one = (type: ElementType, v: number): number => (fromNumbers(type, [1], [v]).data as Uint8Array)[0] as number;

/**
 * Bits of `v` in a small float format.
 * @param saturate out-of-range values become the largest finite value; else NaN, or infinity where the format has it. f4e2m1 always saturates.
 * @param roundMode only for f8e8m0, which holds powers of two
 */
export function encodeSmallFloat(type: ElementType, v: number, saturate = true, roundMode = "up"): number {
  if (type === "f4e2m1") return one(type, Math.min(6, Math.max(-6, v)));
  if (type === "f8e8m0") return encodePower(v, saturate, roundMode);
  const l = limits[type];
  if (l === undefined) throw new RangeError(`${type} is no small float type`);
  const a = Math.abs(v);
  if (saturate) return one(type, Math.min(l.max, Math.max(-l.max, v)));
  if (a > l.half || (a === l.half && l.tieOverflows)) {
    if (Number.isNaN(l.overflow)) return one(type, Number.NaN);
    return v < 0 ? 0xfc : 0x7c;
  }
  return one(type, v);
}

/** f8e8m0: 2^(bits - 127), 255 is NaN; no sign, no zero (OCP Microscaling Formats 1.0). */
function encodePower(v: number, saturate: boolean, roundMode: string): number {
  if (Number.isNaN(v)) return 255;
  const a = Math.abs(v);
  if (a === Number.POSITIVE_INFINITY) return saturate ? 254 : 255;
  if (a === 0) return 0;
  const down = Math.floor(Math.log2(a));
  const floor = 2 ** down > a ? down - 1 : 2 ** (down + 1) <= a ? down + 1 : down;
  const mantissa = a / 2 ** floor;
  const up = roundMode === "up" ? mantissa > 1 : roundMode === "down" ? false : mantissa >= 1.5;
  const e = floor + (up ? 1 : 0) + 127;
  if (e > 254) return saturate ? 254 : 255;
  return Math.max(0, e);
}
