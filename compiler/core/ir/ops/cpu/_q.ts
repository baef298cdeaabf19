/** Attributes and exact arithmetic of the 8-bit kinds. The formulas are those of runtime-native/src/kernels. */
import { num, type Op, str } from "../../graph.js";
import type { InferContext } from "../../op.js";
import { roundHalfEven } from "../../tensor.js";
import { type ElementType, integerRange } from "../../types.js";
import { elem, float, int } from "../_attrs.js";

const f = Math.fround;

/** `x_scale`, `x_zp` for one name. */
export const params = (name: string, optional = false) => ({
  [`${name}_scale`]: optional ? float.optional() : float,
  [`${name}_zp`]: int.optional(),
});

export const result = { ...params("y"), q_min: int.optional(), q_max: int.optional(), y_type: elem.optional() };

export const scaleOf = (op: { readonly attrs: Op["attrs"] }, name: string): number => f(num(op, `${name}_scale`, 1));
export const zeroOf = (op: { readonly attrs: Op["attrs"] }, name: string): number => num(op, `${name}_zp`, 0);

/** Scale and zero point of one tensor. */
export interface Steps {
  readonly scale: number;
  readonly zero: number;
}
export const stepsOf = (op: { readonly attrs: Op["attrs"] }, name: string): Steps => ({ scale: scaleOf(op, name), zero: zeroOf(op, name) });

/** One rounding: the product of a 24-bit and an 8-bit number is exact in f64, and so is its sum with an f32 unless they are 2^29 apart. */
const fma = (a: number, b: number, c: number): number => f(a * b + c);

/**
 * `a · ra + (b · rb + c)` by two fused multiply-adds, with `ra = a_scale / y_scale` and `c = y_zp - (a_zp · ra + b_zp · rb)`: the order and the roundings of
 * ONNX Runtime's QLinearAdd on x86, so that both give the same bytes.
 */
export function addition({ a, b, y }: { readonly a: Steps; readonly b: Steps; readonly y: Steps }): (u: number, v: number) => number {
  const [ra, rb] = [f(f(a.scale) / f(y.scale)), f(f(b.scale) / f(y.scale))];
  const c = f(y.zero - fma(ra, a.zero, f(rb * b.zero)));
  return (u, v) => fma(u, ra, fma(v, rb, c));
}

/** Element type of the result: `y_type`, else that of operand 0. */
export const resultType = (op: { readonly attrs: Op["attrs"] }, x: ElementType): ElementType => str(op, "y_type", x) as ElementType;

/** Clamps to [q_min, q_max], or of another name, by default the type's range. */
export function limits(op: { readonly attrs: Op["attrs"] }, type: ElementType, name = "q"): (v: number) => number {
  const [low, high] = integerRange(type);
  const [a, b] = [num(op, `${name}_min`, low), num(op, `${name}_max`, high)];
  return (v) => Math.min(b, Math.max(a, v));
}

/** rne(v) + zero point, clamped; NaN gives the zero point. `v` is already rounded to f32. */
export const toQ = (v: number, zero: number, clamp: (v: number) => number): number => clamp((Number.isNaN(v) ? 0 : roundHalfEven(v)) + zero);

/** Rejects scales that are no positive finite numbers and zero points outside their type. */
export function checkParams(ctx: InferContext, name: string, type: ElementType | undefined): void {
  const scale = ctx.attrs[`${name}_scale`];
  if (typeof scale === "number" && !(scale > 0 && Number.isFinite(scale))) ctx.fail(`${name}_scale is ${scale}`, "a scale is finite and above 0");
  if (type !== "u8" && type !== "i8") return;
  const [low, high] = integerRange(type);
  const zero = zeroOf(ctx, name);
  if (zero < low || zero > high) ctx.fail(`${name}_zp is ${zero}`, `a zero point of ${type} is from ${low} to ${high}`);
}

/** 32-bit wrap-around of an exact sum. */
export const wrap = (v: number): number => v | 0;

/** Result of an integer product: requantized to 8 bits, or f32(acc) * (x_scale * w_scale) for f32 results. */
export function finish(
  op: { readonly attrs: Op["attrs"] },
  type: ElementType,
  wScale: (channel: number) => number,
): (acc: number, channel: number) => number {
  const [xs, ys] = [scaleOf(op, "x"), scaleOf(op, "y")];
  if (type === "f32") return (acc, c) => f(f(wrap(acc)) * f(xs * f(wScale(c))));
  const clamp = limits(op, type);
  const zero = zeroOf(op, "y");
  return (acc, c) => toQ(f(f(wrap(acc)) * f(f(xs * f(wScale(c))) / ys)), zero, clamp);
}
