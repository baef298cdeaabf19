/** Symmetric quantization of constant weights, stored as i8. */
import { constantTensor, fromNumbers, type Graph, type Tensor, toNumbers } from "../../compiler/core/index.js";
import type { FixedSpec } from "./spec.js";

/** Scale of a channel of zeros: any value stores zeros exactly; a small one lets the bias keep its precision (it is widened where the bias needs it). */
const ZERO_CHANNEL_SCALE = 2 ** -60;

/** Elements of each slice along `axis`: slice index of a flat index. */
export function sliceOf(dims: readonly number[], axis: number): (i: number) => number {
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis] as number;
  return (i) => Math.floor(i / inner) % size;
}

/** Least and greatest integer of symmetric weights of so many bits. */
export const storedRange = (bits = 8): readonly [number, number] => [1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1];

/** Scales that map the greatest magnitude of each slice (or of the tensor) to the greatest integer: 127 for 8 bits. */
export function weightScales(w: Tensor, axis: number | null, bits = 8): number[] {
  const most = storedRange(bits)[1];
  const v = w.type === "f32" ? (w.data as Float32Array) : toNumbers(w);
  const top = new Float64Array(axis === null ? 1 : (w.dims[axis] as number));
  const inner = axis === null ? v.length : w.dims.slice(axis + 1).reduce((x, y) => x * y, 1);
  for (let i = 0, c = 0; i < v.length; c = (c + 1) % top.length) {
    let most = top[c] as number;
    for (const end = i + inner; i < end; i++) most = Math.max(most, Math.abs(v[i] as number));
    top[c] = most;
  }
  return Array.from(top, (t) => (t === 0 ? ZERO_CHANNEL_SCALE : Math.fround(Math.max(t / most, ZERO_CHANNEL_SCALE))));
}

/** Shares of the greatest magnitude that are tried. */
const CLIPPED = Array.from({ length: 50 }, (_, k) => 1 - k / 100);

/**
 * Scales with the least squared error of each slice's stored weights, searched over clipped ranges: clipping pays where few weights are large and bits are few.
 * Source: Banner et al. 2019, "Post training 4-bit quantization of convolutional networks for rapid-deployment", by search instead of a formula.
 */
export function clippedScales(w: Tensor, axis: number | null, bits = 8): number[] {
  const [least, most] = storedRange(bits);
  const v = toNumbers(w);
  const slices = new Map<number, number[]>();
  const at = axis === null ? () => 0 : sliceOf(w.dims, axis);
  for (let i = 0; i < v.length; i++) {
    const slice = slices.get(at(i));
    if (slice === undefined) slices.set(at(i), [v[i] as number]);
    else slice.push(v[i] as number);
  }
  return weightScales(w, axis, bits).map((full, c) => {
    let [best, error] = [full, Number.POSITIVE_INFINITY];
    for (const share of full === ZERO_CHANNEL_SCALE ? [1] : CLIPPED) {
      const scale = Math.fround(full * share);
      let sum = 0;
      for (const e of slices.get(c) ?? []) {
        sum += (Math.max(least, Math.min(most, Math.round(e / scale))) * scale - e) ** 2;
        if (sum >= error) break;
      }
      if (sum < error) [best, error] = [scale, sum];
    }
    return best;
  });
}

/** Weights in steps of the scales: nearest, halves to even, within [-127, 127] for 8 bits. */
export function quantizeWeights(w: Tensor, scales: readonly number[], axis: number | null, bits = 8): Tensor {
  const [least, most] = storedRange(bits);
  const v = w.type === "f32" ? (w.data as Float32Array) : toNumbers(w);
  const data = new Int8Array(v.length);
  // Runs of one slice: the index is not worked out for each element.
  const inner = axis === null ? v.length : w.dims.slice(axis + 1).reduce((x, y) => x * y, 1);
  const size = axis === null ? 1 : (w.dims[axis] as number);
  for (let i = 0, c = 0; i < v.length; c = (c + 1) % size) {
    const scale = scales[c] as number;
    for (const end = i + inner; i < end; i++) data[i] = Math.max(least, Math.min(most, roundEven(Math.fround(v[i] as number) / scale)));
  }
  return { type: "i8", dims: w.dims, data };
}

/**
 * The integers of weights at these scales: what their spec says, and the nearest where it says nothing, or where a scale is not the spec's any more.
 */
export function storedWeights(graph: Graph, w: Tensor, edge: FixedSpec, scales: readonly number[] = edge.scale): Tensor {
  const nearest = quantizeWeights(w, scales, edge.axis, edge.bits);
  const chosen = edge.integers === undefined ? null : constantTensor(graph.value(edge.integers) ?? null);
  if (chosen === null) return nearest;
  const at = edge.axis === null ? () => 0 : sliceOf(w.dims, edge.axis);
  const v = toNumbers(chosen);
  return fromNumbers(
    "i8",
    w.dims,
    toNumbers(nearest).map((q, i) => (scales[at(i)] === edge.scale[at(i)] ? (v[i] as number) : q)),
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
