import { quantizedBinary } from "./_binary.js";

const f = Math.fround;

/** The integer product is exact; the factor is (a_scale * b_scale) / y_scale in f32. */
export const cpuQmul = quantizedBinary("cpu.qmul", "a * b on 8-bit operands, broadcast", ({ a, b, y }) => {
  const m = f(f(a * b) / y);
  return (u, v) => f(u * v * m);
});
