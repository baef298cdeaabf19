/** What each quantizer of activations does to the float model's values: rounding, clipping, and range spent on outliers. */
import { type RangeMethod, rangeMethods } from "../../../passes/quantize/options.js";
import { chooseRange, quantizationError, type Range } from "../../../passes/quantize/ranges.js";
import { integerRange, type TensorStatistics } from "../../core/index.js";
import { decibels } from "./errors.js";
import type { Quantizer } from "./strip.js";

/** What a quantizer of activations does to the values of the data. */
export interface QuantizerFigures {
  /** The source's value. */
  readonly value: string;
  readonly type: string;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly scales: number;
  /** What the integers reach. */
  readonly range: readonly [low: number, high: number];
  /** What the float model's values span on this data. */
  readonly seen: readonly [low: number, high: number];
  /** Values that lie more than half a step outside the range. */
  readonly clipped: number;
  readonly clippedShare: number;
  /** Measured: the float model's values against what the quantizer makes of them, dB. */
  readonly sqnr: number;
  /** Share of values more than three standard deviations from the mean. */
  readonly outliers: number;
  /** Resolution spent on them, in bits: log2 of the quantizer's range over what is left of it within three standard deviations. */
  readonly outlierBits: number;
  /** Bits of the type that the data cannot reach: log2 of the quantizer's range over the range seen. */
  readonly unusedBits: number;
  /** Expected from the histogram, for this range: what `best` is to be compared with. */
  readonly expected: number;
  /** The method of `range` that promises most for the same type, and its expected SQNR in dB. */
  readonly best: { readonly range: RangeMethod; readonly sqnr: number; readonly bounds: readonly [low: number, high: number] };
}

/** Counts what a quantizer clips and rounds; per-tensor parameters only (the first scale stands for all otherwise). */
export class QuantizerSum {
  readonly quantizer: Quantizer;
  #signal = 0;
  #noise = 0;
  #clipped = 0;
  #count = 0;

  constructor(quantizer: Quantizer) {
    this.quantizer = quantizer;
  }

  add(data: ArrayLike<number>, length: number): void {
    const { scale, zeroPoint, type } = this.quantizer;
    const [s, z] = [scale[0] as number, zeroPoint[0] ?? 0];
    const [least, most] = integerRange(type);
    const inverse = 1 / s;
    let [signal, noise, clipped] = [0, 0, 0];
    for (let i = 0; i < length; i++) {
      const v = data[i] as number;
      const step = v * inverse + z;
      const q = step < least ? least : step > most ? most : Math.round(step);
      if (step < least - 0.5 || step > most + 0.5) clipped++;
      const e = v - (q - z) * s;
      signal += v * v;
      noise += e * e;
    }
    this.#signal += signal;
    this.#noise += noise;
    this.#clipped += clipped;
    this.#count += length;
  }

  read(value: string, s: TensorStatistics): QuantizerFigures {
    const q = this.quantizer;
    const width = q.high - q.low;
    const inner: Range = { low: Math.max(s.min, s.mean - 3 * s.std, q.low), high: Math.min(s.max, s.mean + 3 * s.std, q.high) };
    const core = Math.max(0, inner.high) - Math.min(0, inner.low);
    const used = Math.max(0, Math.min(s.max, q.high)) - Math.min(0, Math.max(s.min, q.low));
    return {
      value,
      type: q.type,
      scale: q.scale[0] as number,
      zeroPoint: q.zeroPoint[0] ?? 0,
      scales: q.scale.length,
      range: [q.low, q.high],
      seen: [s.min, s.max],
      clipped: this.#clipped,
      clippedShare: this.#count === 0 ? 0 : this.#clipped / this.#count,
      sqnr: decibels(this.#signal, this.#noise),
      outliers: outlierShare(s),
      outlierBits: core > 0 && used > core ? Math.log2(used / core) : 0,
      unusedBits: used > 0 && width > used ? Math.log2(width / used) : 0,
      expected: expectedSqnr(s, { low: q.low, high: q.high }, q),
      best: bestRange(s, q),
    };
  }
}

/** Histogram bins that lie beyond three standard deviations. */
function outlierShare(s: TensorStatistics): number {
  const { lo, hi, counts } = s.histogram;
  const width = (hi - lo) / counts.length;
  let outside = 0;
  counts.forEach((c, i) => {
    if (Math.abs(lo + (i + 0.5) * width - s.mean) > 3 * s.std) outside += c;
  });
  return s.count === 0 ? 0 : outside / s.count;
}

const storeOf = (q: Quantizer) => {
  const type = q.type === "i8" ? ("i8" as const) : ("u8" as const);
  return { type, scheme: type === "i8" && q.zeroPoint.every((z) => z === 0) ? ("symmetric" as const) : ("asymmetric" as const) };
};

function expectedSqnr(s: TensorStatistics, range: Range, q: Quantizer): number {
  const { type, scheme } = storeOf(q);
  return decibels(s.mean ** 2 + s.std ** 2, quantizationError(s, range, type, scheme));
}

/** The range method with the least expected error on the observed distribution, for the quantizer's own type. */
function bestRange(s: TensorStatistics, q: Quantizer): QuantizerFigures["best"] {
  const { type, scheme } = storeOf(q);
  return rangeMethods
    .map((range) => {
      const chosen = chooseRange(s, range, { type, scheme });
      return { range, sqnr: expectedSqnr(s, chosen, q), bounds: [Math.min(0, chosen.low), Math.max(0, chosen.high)] as const };
    })
    .reduce((a, b) => (b.sqnr > a.sqnr + 1e-9 ? b : a));
}
