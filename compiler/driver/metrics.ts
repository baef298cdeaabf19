/**
 * Metrics over a data set, accumulated batch by batch: nothing grows with the number of samples.
 * The first model that is evaluated is the reference that agreement, flips, cosine, SQNR and MSE are measured against.
 */
import { type Tensor, toNumbers } from "../core/index.js";

/** What a plan's `evaluate` may name. `higherIsBetter` decides what a `drop` is. */
export const metrics = {
  top1: { summary: "share of samples whose highest output is the label, in percent", needsLabels: true, higherIsBetter: true, unit: "%" },
  top5: { summary: "share of samples whose label is among the five highest outputs, in percent", needsLabels: true, higherIsBetter: true, unit: "%" },
  agreement: {
    summary: "share of samples with the same highest output as the source model, in percent",
    needsLabels: false,
    higherIsBetter: true,
    unit: "%",
  },
  flips: { summary: "number of samples whose highest output differs from the source model's", needsLabels: false, higherIsBetter: false, unit: "" },
  cosine: { summary: "mean cosine similarity of a sample's outputs with the source model's", needsLabels: false, higherIsBetter: true, unit: "" },
  sqnr: {
    summary: "signal to quantization noise ratio against the source model's outputs, in dB",
    needsLabels: false,
    higherIsBetter: true,
    unit: "dB",
  },
  mse: { summary: "mean squared difference from the source model's outputs", needsLabels: false, higherIsBetter: false, unit: "" },
} as const;

export type Metric = keyof typeof metrics;
export type MetricValues = { readonly [M in Metric]: number | null };

export interface MetricCounter {
  /** Adds one batch: the outputs to judge, the reference's outputs, labels where there are some. First axis is the sample. */
  add(output: Tensor, reference: Tensor | null, labels: Int32Array | null): void;
  read(): MetricValues;
  readonly samples: number;
  /** Outputs that are NaN or infinite. */
  readonly nonFinite: number;
}

/** Index of the highest value; the lowest index among equals; NaN never wins. */
export function argmax(values: ArrayLike<number>, from: number, length: number): number {
  let best = 0;
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < length; i++) {
    const v = values[from + i] as number;
    if (v > top) {
      top = v;
      best = i;
    }
  }
  return best;
}

const rankOf = (values: ArrayLike<number>, from: number, length: number, index: number): number => {
  const v = values[from + index] as number;
  let above = 0;
  for (let i = 0; i < length; i++) {
    const w = values[from + i] as number;
    if (w > v || (w === v && i < index)) above++;
  }
  return above;
};

/** Elements as numbers; floats without a copy. */
export const numbers = (t: Tensor): ArrayLike<number> => (t.type === "f32" || t.type === "f64" ? (t.data as Float32Array) : toNumbers(t));

export function createMetricCounter(): MetricCounter {
  let samples = 0;
  let labelled = 0;
  let compared = 0;
  let hit1 = 0;
  let hit5 = 0;
  let flips = 0;
  let cosine = 0;
  let signal = 0;
  let error = 0;
  let elements = 0;
  let nonFinite = 0;
  return {
    get samples() {
      return samples;
    },
    get nonFinite() {
      return nonFinite;
    },
    add(output, reference, labels) {
      const n = output.dims[0] ?? 1;
      const width = n === 0 ? 0 : output.data.length / n;
      const y = numbers(output);
      const r = reference === null ? null : numbers(reference);
      for (let s = 0; s < n; s++) {
        const from = s * width;
        const top = argmax(y, from, width);
        for (let i = 0; i < width; i++) if (!Number.isFinite(y[from + i])) nonFinite++;
        if (labels !== null) {
          const label = labels[s] as number;
          labelled++;
          if (top === label) hit1++;
          if (label < width && rankOf(y, from, width, label) < 5) hit5++;
        }
        if (r !== null) {
          compared++;
          if (argmax(r, from, width) !== top) flips++;
          let dot = 0;
          let yy = 0;
          let rr = 0;
          for (let i = 0; i < width; i++) {
            const a = y[from + i] as number;
            const b = r[from + i] as number;
            dot += a * b;
            yy += a * a;
            rr += b * b;
            error += (a - b) ** 2;
          }
          signal += rr;
          elements += width;
          cosine += yy === 0 && rr === 0 ? 1 : yy === 0 || rr === 0 ? 0 : dot / Math.sqrt(yy * rr);
        }
        samples++;
      }
    },
    read: () => ({
      top1: labelled === 0 ? null : (100 * hit1) / labelled,
      top5: labelled === 0 ? null : (100 * hit5) / labelled,
      agreement: compared === 0 ? null : 100 * (1 - flips / compared),
      flips: compared === 0 ? null : flips,
      cosine: compared === 0 ? null : cosine / compared,
      sqnr: compared === 0 ? null : error === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / error),
      mse: compared === 0 ? null : error / elements,
    }),
  };
}
