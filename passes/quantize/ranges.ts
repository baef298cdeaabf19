/**
 * Choosing the range of an activation from its streamed histogram, and scale and zero point from the range.
 *
 * Sources: minmax, moving_average and the affine mapping: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
 * Inference"; entropy: Migacz 2017, "8-bit Inference with TensorRT"; mse: Nagel et al. 2021, "A White Paper on Neural Network Quantization", section 3.1.
 */
import type { TensorStatistics } from "../../compiler/core/index.js";
import type { RangeMethod } from "./options.js";
import { integersOf } from "./spec.js";

export interface Range {
  readonly low: number;
  readonly high: number;
}

export interface Params {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** Smallest scale: below it products of scales leave the normal range of f32. */
const LEAST_SCALE = 2 ** -60;

/** Scale and zero point of a range. Real 0 is always representable, exactly. A range of nothing but 0 gets scale 1. */
export function paramsOf(range: Range, type: "u8" | "i8", scheme: "asymmetric" | "symmetric", bits = 8): Params {
  const low = Math.min(0, range.low);
  const high = Math.max(0, range.high);
  if (scheme === "symmetric") {
    const top = Math.max(-low, high);
    // u8 here means that the values are never negative: the whole range is used.
    const steps = integersOf(type, bits)[1];
    return { scale: top === 0 ? 1 : Math.fround(Math.max(top / steps, LEAST_SCALE)), zeroPoint: 0 };
  }
  const [bottom, top] = integersOf(type, bits);
  if (low === high) return { scale: 1, zeroPoint: bottom };
  const scale = Math.fround(Math.max((high - low) / (top - bottom), LEAST_SCALE));
  return { scale, zeroPoint: Math.min(top, Math.max(bottom, bottom + Math.round(-low / scale))) };
}

/** The range that a method picks. `percentile` in percent. */
export function chooseRange(
  s: TensorStatistics,
  method: RangeMethod,
  options: { readonly percentile?: number; readonly scheme?: "asymmetric" | "symmetric"; readonly type?: "u8" | "i8"; readonly bits?: number } = {},
): Range {
  if (s.count === 0) return { low: 0, high: 0 };
  const full: Range = { low: s.min, high: s.max };
  if (s.min === s.max) return full;
  switch (method) {
    case "minmax":
      return full;
    case "moving_average":
      return { low: s.averageMin, high: s.averageMax };
    case "percentile":
      return percentileRange(s, options.percentile ?? 99.99);
    case "entropy":
      return entropyRange(s);
    case "mse":
      return mseRange(s, options.type ?? "u8", options.scheme ?? "asymmetric", options.bits);
  }
}

/** Cuts the same share off both ends; ends without outliers stay where they are. Within a bin, values are taken as evenly spread. */
export function percentileRange(s: TensorStatistics, percentile: number): Range {
  const { lo, hi, counts } = s.histogram;
  const width = (hi - lo) / counts.length;
  const tail = ((100 - percentile) / 100) * s.count;
  const cut = (from: number, step: 1 | -1): number => {
    let left = tail;
    for (let i = from; i >= 0 && i < counts.length; i += step) {
      const c = counts[i] as number;
      if (c > left) return step > 0 ? lo + (i + left / c) * width : lo + (i + 1 - left / c) * width;
      left -= c;
    }
    return step > 0 ? s.min : s.max;
  };
  return { low: Math.max(s.min, cut(0, 1)), high: Math.min(s.max, cut(counts.length - 1, -1)) };
}

/** Quantized levels that the entropy method compares with. */
const LEVELS = 128;

/**
 * The symmetric threshold whose 128-level distribution loses least information (Kullback-Leibler divergence), applied to both ends. The histogram of
 * magnitudes is built from the signed one.
 */
export function entropyRange(s: TensorStatistics): Range {
  const { lo, hi, counts } = s.histogram;
  const width = (hi - lo) / counts.length;
  const bins = Math.ceil(Math.max(Math.abs(s.min), Math.abs(s.max)) / width);
  if (bins <= LEVELS) return { low: s.min, high: s.max };
  const p = new Float64Array(bins);
  counts.forEach((c, i) => {
    const centre = lo + (i + 0.5) * width;
    p[Math.min(bins - 1, Math.floor(Math.abs(centre) / width))]! += c;
  });
  // Zeros are exact at any threshold: behind a Relu they are half of all values, and their bin alone would decide.
  p[0] = p[1] as number;
  const divergence = divergences(p);
  let best = bins;
  let least = Number.POSITIVE_INFINITY;
  const stride = Math.max(1, Math.floor((bins - LEVELS) / 512));
  for (let end = LEVELS; end <= bins; end += stride) {
    const d = divergence(end);
    if (d < least) {
      least = d;
      best = end;
    }
  }
  const threshold = best * width;
  return { low: Math.max(s.min, -threshold), high: Math.min(s.max, threshold) };
}

/** What a probability costs where the merged distribution has none. */
const UNSEEN = 40;

/**
 * KL divergence of the first `end` bins, outliers counted in the last, from the same bins merged to LEVELS, as a function of `end`. Sums of p, of p log p and of
 * filled bins up to each bin make one evaluation cost LEVELS steps instead of `end`.
 */
function divergences(p: Float64Array): (end: number) => number {
  const [sums, logs, filled] = [new Float64Array(p.length + 1), new Float64Array(p.length + 1), new Float64Array(p.length + 1)];
  p.forEach((v, i) => {
    sums[i + 1] = (sums[i] as number) + v;
    logs[i + 1] = (logs[i] as number) + (v > 0 ? v * Math.log(v) : 0);
    filled[i + 1] = (filled[i] as number) + (v > 0 ? 1 : 0);
  });
  const total = sums[p.length] as number;
  return (end) => {
    if (total === 0) return Number.POSITIVE_INFINITY;
    const mass = sums[end] as number;
    const outliers = total - mass;
    let divergence = 0;
    let lastMerged = 0;
    for (let l = 0; l < LEVELS; l++) {
      const [from, to] = [Math.floor((l * end) / LEVELS), Math.floor(((l + 1) * end) / LEVELS)];
      const sum = (sums[to] as number) - (sums[from] as number);
      if (sum === 0) continue;
      const merged = sum / ((filled[to] as number) - (filled[from] as number)) / mass;
      divergence += (logs[to] as number) - (logs[from] as number) - sum * Math.log(total * merged);
      lastMerged = merged;
    }
    // The last bin holds the outliers as well.
    const last = p[end - 1] as number;
    const all = last + outliers;
    if (last > 0) divergence += all * Math.log(all / total / lastMerged) - last * Math.log(last / total / lastMerged);
    else if (all > 0) divergence += all * UNSEEN;
    return divergence / total;
  };
}

/** Candidate shares of the full range, from all of it down to a tenth. */
const MSE_STEPS = 100;

/** The range with the least expected squared error of rounding and clipping, searched over shrunken ends; each end is searched given the other. */
export function mseRange(s: TensorStatistics, type: "u8" | "i8", scheme: "asymmetric" | "symmetric", bits = 8): Range {
  const shrink = (k: number): number => 1 - (0.9 * k) / MSE_STEPS;
  const search = (make: (share: number) => Range, start: Range): Range => {
    let best = start;
    let least = quantizationError(s, start, type, scheme, bits);
    for (let k = 1; k < MSE_STEPS; k++) {
      const range = make(shrink(k));
      const error = quantizationError(s, range, type, scheme, bits);
      if (error < least) {
        least = error;
        best = range;
      }
    }
    return best;
  };
  const full: Range = { low: s.min, high: s.max };
  if (scheme === "symmetric") {
    const top = Math.max(Math.abs(s.min), Math.abs(s.max));
    return search((share) => ({ low: Math.max(s.min, -top * share), high: Math.min(s.max, top * share) }), full);
  }
  const high = search((share) => ({ low: full.low, high: full.high * share }), full);
  return s.min >= 0 ? high : search((share) => ({ low: full.low * share, high: high.high }), high);
}

/** Expected squared error per element of storing the observed distribution in a range: rounding is uniform inside, clipping at bin centres outside. */
export function quantizationError(s: TensorStatistics, range: Range, type: "u8" | "i8", scheme: "asymmetric" | "symmetric", bits = 8): number {
  const { scale, zeroPoint } = paramsOf(range, type, scheme, bits);
  const [bottom, most] = integersOf(type, bits);
  const least = type === "i8" && scheme === "symmetric" ? -most : bottom;
  const [low, high] = [(least - zeroPoint) * scale, (most - zeroPoint) * scale];
  const { lo, hi, counts } = s.histogram;
  const width = (hi - lo) / counts.length;
  const rounding = scale ** 2 / 12;
  let error = 0;
  for (let i = 0; i < counts.length; i++) {
    const c = counts[i] as number;
    if (c === 0) continue;
    const x = lo + (i + 0.5) * width;
    // Exact zeros (behind Relu) are stored exactly.
    if (x - width / 2 <= 0 && x + width / 2 > 0 && s.min >= 0) continue;
    if (x < low) error += c * (low - x) ** 2;
    else if (x > high) error += c * (x - high) ** 2;
    else error += c * rounding;
  }
  return error / s.count;
}
