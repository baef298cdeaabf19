/** Averages: f32 by division, 8-bit by clamp(rne(f32(sum(x - x_zp)) * (x_scale / (y_scale * f32(count)))) + y_zp). */
import type { Op } from "../../graph.js";
import { fromNumbers, type Tensor } from "../../tensor.js";
import type { Pooled } from "./_pool.js";
import { limits, scaleOf, toQ, zeroOf } from "./_q.js";

const f = Math.fround;

export function average(op: Op, x: Tensor, y: Pooled, taps: (pixel: number) => number): Tensor {
  const [, oh, ow, c] = y.dims as [number, number, number, number];
  const pixel = (i: number): number => Math.floor(i / c) % (oh * ow);
  if (x.type === "f32") {
    return fromNumbers(
      "f32",
      y.dims,
      y.data.map((s, i) => s / (y.counts[pixel(i)] as number)),
    );
  }
  const [xs, ys, xz, yz] = [scaleOf(op, "x"), scaleOf(op, "y"), zeroOf(op, "x"), zeroOf(op, "y")];
  const clamp = limits(op, x.type);
  // The zero point is taken off each element that was summed; padding counts as real 0.
  const out = y.data.map((s, i) => {
    const count = y.counts[pixel(i)] as number;
    return toQ(f(f(s - taps(pixel(i)) * xz) * f(xs / f(ys * count))), yz, clamp);
  });
  return fromNumbers(x.type, y.dims, out);
}
