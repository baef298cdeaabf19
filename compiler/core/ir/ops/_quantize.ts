/** Integer quantization arithmetic: the one specification that the scalar reference, the native kernels and the exporter share. */
import { roundHalfEven } from "../tensor.js";
import { type ElementType, integerRange } from "../types.js";

export const saturate = (v: number, type: ElementType): number => {
  const [low, high] = integerRange(type);
  return Math.min(high, Math.max(low, v));
};

/** clamp(rne(f32(acc) * m) + zp), with m = (x_scale * w_scale) / y_scale rounded to f32 after each step. */
export function requantize(acc: number, xScale: number, wScale: number, yScale: number, zeroPoint: number, type: ElementType): number {
  const f = Math.fround;
  const m = f(f(f(xScale) * f(wScale)) / f(yScale));
  const v = f(f(acc) * m);
  return Number.isNaN(v) ? zeroPoint : saturate(roundHalfEven(v) + zeroPoint, type);
}

/** rne(x / scale) + zp, saturated; NaN gives the zero point. */
export function quantize(x: number, scale: number, zeroPoint: number, type: ElementType): number {
  const v = Math.fround(Math.fround(x) / Math.fround(scale));
  return Number.isNaN(v) ? zeroPoint : saturate(roundHalfEven(v) + zeroPoint, type);
}
