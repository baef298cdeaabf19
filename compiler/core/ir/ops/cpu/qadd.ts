import { quantizedBinary } from "./_binary.js";

const f = Math.fround;

/** Both products are rounded to f32, then their sum: no fused multiply-add. */
export const cpuQadd = quantizedBinary("cpu.qadd", "a + b on 8-bit operands, broadcast", ({ a, b, y }) => {
  const [ma, mb] = [f(a / y), f(b / y)];
  return (u, v) => f(f(u * ma) + f(v * mb));
});
