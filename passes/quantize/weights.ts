/** Symmetric i8 quantization of constant weights. */
import { fromNumbers, type Tensor, toNumbers } from "../../compiler/core/index.js";

/** Scale of a channel of zeros: any value stores zeros exactly; a small one lets the bias keep its precision (it is widened where the bias needs it). */
const ZERO_CHANNEL_SCALE = 2 ** -60;

/** Elements of each slice along `axis`: slice index of a flat index. */
export function sliceOf(dims: readonly number[], axis: number): (i: number) => number {
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis] as number;
  return (i) => Math.floor(i / inner) % size;
}

/** Scales that map the greatest magnitude of each slice (or of the tensor) to 127. */
export function weightScales(w: Tensor, axis: number | null): number[] {
  const v = toNumbers(w);
  const at = axis === null ? () => 0 : sliceOf(w.dims, axis);
  const top = new Float64Array(axis === null ? 1 : (w.dims[axis] as number));
  v.forEach((e, i) => {
    const c = at(i);
    top[c] = Math.max(top[c] as number, Math.abs(e));
  });
  return Array.from(top, (t) => (t === 0 ? ZERO_CHANNEL_SCALE : Math.fround(Math.max(t / 127, ZERO_CHANNEL_SCALE))));
}

/** Weights in steps of the scales: nearest, halves to even, within [-127, 127]. */
export function quantizeWeights(w: Tensor, scales: readonly number[], axis: number | null): Tensor {
  const at = axis === null ? () => 0 : sliceOf(w.dims, axis);
  const v = toNumbers(w);
  return fromNumbers(
    "i8",
    w.dims,
    v.map((e, i) => Math.max(-127, Math.min(127, roundEven(Math.fround(e) / (scales[at(i)] as number))))),
  );
}

const roundEven = (v: number): number => {
  const f = Math.floor(v);
  const d = v - f;
  return d < 0.5 ? f : d > 0.5 ? f + 1 : f % 2 === 0 ? f : f + 1;
};

/** Largest stored bias: half of the i32 range, so that the products' sum fits beside it. */
export const BIAS_LIMIT = 2 ** 30;

/**
 * The exact range rule of i32 biases: where bias / (x_scale * w_scale) leaves the limit, the channel's weight scale is widened until it fits.
 * @returns the scales, and the channels that were widened
 */
export function widenForBias(
  bias: ArrayLike<number>,
  xScale: number,
  scales: readonly number[],
): { readonly scales: number[]; readonly widened: number[] } {
  const widened: number[] = [];
  const all = scales.length === 1 && bias.length > 1;
  const out = [...scales];
  for (let c = 0; c < bias.length; c++) {
    const at = all ? 0 : Math.min(c, out.length - 1);
    const b = Math.abs(bias[c] as number);
    if (b / (xScale * (out[at] as number)) <= BIAS_LIMIT) continue;
    out[at] = Math.fround((b / (xScale * BIAS_LIMIT)) * (1 + 2 ** -20));
    widened.push(c);
  }
  return { scales: out, widened };
}

/** The bias in steps of x_scale * w_scale, computed as runtimes do: f32 product, then round half to even. */
export function quantizeBias(bias: ArrayLike<number>, xScale: number, scales: readonly number[]): Tensor {
  const f = Math.fround;
  return fromNumbers(
    "i32",
    [bias.length],
    Array.from(bias, (b, c) => roundEven(b / f(f(xScale) * f(scales[scales.length === 1 ? 0 : c] as number)))),
  );
}
