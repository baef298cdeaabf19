/** Normalizations and softmax: reference arithmetic in doubles. */
import { num } from "../graph.js";
import { defineOp, type OpDefinition } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { attrs, int } from "./_attrs.js";
import { broadcastStrides, need, normal, walk } from "./_eval.js";
import { axisOf, floatTypes, like, needElem, product } from "./_infer.js";

/** Per-channel affine with given statistics: y = scale * (x - mean) / sqrt(var + epsilon) + bias; channel is axis 1. */
export function normalizeChannels(
  x: Tensor,
  scale: ArrayLike<number>,
  bias: ArrayLike<number>,
  mean: ArrayLike<number>,
  variance: ArrayLike<number>,
  epsilon: number,
): Tensor {
  const v = toNumbers(x);
  const channels = x.dims[1] ?? 1;
  const area = product(x.dims.slice(2));
  return fromNumbers(
    x.type,
    x.dims,
    v.map((e, i) => {
      const c = Math.floor(i / area) % channels;
      return ((e - (mean[c] as number)) / Math.sqrt((variance[c] as number) + epsilon)) * (scale[c] as number) + (bias[c] as number);
    }),
  );
}

/** Mean and (population) variance of each channel, axis 1. */
export function channelStatistics(x: Tensor): { readonly mean: Float64Array; readonly variance: Float64Array } {
  const v = toNumbers(x);
  const channels = x.dims[1] ?? 1;
  const area = product(x.dims.slice(2));
  const n = v.length / Math.max(1, channels);
  const [mean, variance] = [new Float64Array(channels), new Float64Array(channels)];
  const channel = (i: number): number => Math.floor(i / area) % channels;
  v.forEach((e, i) => {
    mean[channel(i)]! += e / n;
  });
  v.forEach((e, i) => {
    variance[channel(i)]! += (e - (mean[channel(i)] as number)) ** 2 / n;
  });
  return { mean, variance };
}

/** Groups of `size` consecutive values are normalized to zero mean and unit variance. Returns also mean and 1/std per group. */
export function normalizeGroups(
  v: Float64Array,
  size: number,
  epsilon: number,
): { readonly y: Float64Array; readonly mean: number[]; readonly invStd: number[] } {
  const y = new Float64Array(v.length);
  const mean: number[] = [];
  const invStd: number[] = [];
  for (let from = 0; from < v.length; from += size) {
    let m = 0;
    for (let i = 0; i < size; i++) m += v[from + i] as number;
    m /= size;
    let s = 0;
    for (let i = 0; i < size; i++) s += ((v[from + i] as number) - m) ** 2;
    const inv = 1 / Math.sqrt(s / size + epsilon);
    for (let i = 0; i < size; i++) y[from + i] = ((v[from + i] as number) - m) * inv;
    mean.push(m);
    invStd.push(inv);
  }
  return { y, mean, invStd };
}

/** Softmax-like ops along `axis` (default -1). */
export function alongAxis<K extends string>(kind: K, summary: string, f: (row: Float64Array) => Float64Array): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({ axis: int.optional() }),
    inputs: [1, 1],
    outputs: [1, 1],
    infer(ctx) {
      needElem(ctx, 0, floatTypes);
      const s = ctx.shape(0);
      if (s !== null && s.length > 0) axisOf(ctx, num(ctx.op, "axis", -1), s.length);
      return like(ctx);
    },
    cost: (_, { outputs }) => ({ macs: 0, flops: 10 * product(outputs[0] ?? []) }),
    evaluate(op, inputs) {
      const x = need(inputs, 0);
      const axis = normal(num(op, "axis", -1), x.dims.length);
      const size = x.dims[axis] ?? 1;
      const inner = product(x.dims.slice(axis + 1));
      const v = toNumbers(x);
      const y = new Float64Array(v.length);
      const row = new Float64Array(size);
      for (let o = 0; o < v.length / Math.max(1, size * inner); o++) {
        for (let i = 0; i < inner; i++) {
          for (let k = 0; k < size; k++) row[k] = v[(o * size + k) * inner + i] as number;
          f(row).forEach((e, k) => {
            y[(o * size + k) * inner + i] = e;
          });
        }
      }
      return [fromNumbers(x.type, x.dims, y)];
    },
  });
}

export const softmaxRow = (row: Float64Array): Float64Array => {
  const top = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const e = row.map((v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
};

/** Scale and bias broadcast over the last axes of x. */
export function affine(x: Tensor, y: Float64Array, scale: Tensor, bias: Tensor | null): Tensor {
  const s = toNumbers(scale);
  walk(x.dims, broadcastStrides(scale.dims, x.dims), (offset, i) => {
    y[i]! *= s[offset] as number;
  });
  if (bias !== null) {
    const b = toNumbers(bias);
    walk(x.dims, broadcastStrides(bias.dims, x.dims), (offset, i) => {
      y[i]! += b[offset] as number;
    });
  }
  return fromNumbers(x.type, x.dims, y);
}
