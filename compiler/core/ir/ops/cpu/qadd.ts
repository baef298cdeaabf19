import { quantizedBinary } from "./_binary.js";

const f = Math.fround;

/** One rounding: the product of a 24-bit and an 8-bit number is exact in f64, and so is its sum with an f32 unless they are 2^29 apart. */
const fma = (a: number, b: number, c: number): number => f(a * b + c);

/**
 * `a · ra + (b · rb + c)` by two fused multiply-adds, with `ra = a_scale / y_scale` and `c = y_zp - (a_zp · ra + b_zp · rb)`: the order and the roundings of
 * ONNX Runtime's QLinearAdd on x86, so that both give the same bytes.
 */
export const cpuQadd = quantizedBinary("cpu.qadd", "a + b on 8-bit operands, broadcast", false, ({ a, b, y }) => {
  const [ra, rb] = [f(f(a.scale) / f(y.scale)), f(f(b.scale) / f(y.scale))];
  const c = f(y.zero - fma(ra, a.zero, f(rb * b.zero)));
  return (u, v) => fma(u, ra, fma(v, rb, c));
});
