import { quantizedBinary } from "./_binary.js";

const f = Math.fround;

/** The integer product is exact; the factor is (a_scale * b_scale) / y_scale in f32. */
export const cpuQmul = quantizedBinary("cpu.qmul", "a * b on 8-bit operands, broadcast", true, ({ a, b, y }) => {
  const m = f(f(a.scale * b.scale) / y.scale);
  return (u, v) => f((u - a.zero) * (v - b.zero) * m);
});
