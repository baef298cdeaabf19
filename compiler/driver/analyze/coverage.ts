/** How much of what a model does was seen after 1, 2, 4, … samples: ranges of activations, and weights that were ever multiplied with something. */

/** What so many samples have shown. */
export interface CoveragePoint {
  readonly samples: number;
  /** Share of the range that all samples span, median over activations, 0 to 1. */
  readonly median: number;
  /** The same for the activation at the lowest tenth. */
  readonly lowest: number;
  /** Share of weights whose input channel was not always zero, 0 to 1. */
  readonly weights: number;
}

/** The curve over the number of samples, and how many are enough. */
export interface Coverage {
  readonly curve: readonly CoveragePoint[];
  /** Least number of samples at which nine in ten activations span `ENOUGH` of the range that all samples span; `null` while ranges still grow. */
  readonly enough: number | null;
  /** Samples that the advice names: `enough`, or twice what was given. */
  readonly advised: number;
}

/** A range that misses this little of the final one clips less than rounding costs. */
const ENOUGH = 0.95;

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 1;

/** Ranges of many values, sample by sample. */
export class CoverageSum {
  readonly #values = new Map<string, { low: number; high: number; widths: number[] }>();
  readonly #channels = new Map<string, { readonly seen: Uint8Array; readonly weightsEach: number; shares: number[] }>();
  readonly #checkpoints: readonly number[];

  /** @param samples how many there will be */
  constructor(samples: number) {
    const points: number[] = [];
    for (let n = 1; n < samples; n *= 2) points.push(n);
    this.#checkpoints = [...points, samples];
  }

  /** Declares that `weightsEach` weights read each channel of a value. */
  watchChannels(name: string, channels: number, weightsEach: number): void {
    const known = this.#channels.get(name);
    this.#channels.set(name, { seen: new Uint8Array(channels), weightsEach: weightsEach + (known?.weightsEach ?? 0), shares: [] });
  }

  /** Values of sample number `sample` (from 0). @param channelStride elements of one channel, or 1 where the channel is the last axis */
  add(name: string, sample: number, data: ArrayLike<number>, from: number, length: number, channelStride: number): void {
    let v = this.#values.get(name);
    if (v === undefined) {
      v = { low: 0, high: 0, widths: [] };
      this.#values.set(name, v);
    }
    let { low, high } = v;
    for (let i = from; i < from + length; i++) {
      const e = data[i] as number;
      if (e < low) low = e;
      else if (e > high) high = e;
    }
    v.low = low;
    v.high = high;
    const c = this.#channels.get(name);
    if (c !== undefined) markSeen(c.seen, data, from, length, channelStride);
    if (!this.#checkpoints.includes(sample + 1)) return;
    v.widths.push(high - low);
    c?.shares.push(c.seen.reduce((a, b) => a + b, 0) / Math.max(1, c.seen.length));
  }

  read(): Coverage {
    const values = [...this.#values.values()].filter((v) => v.widths.length > 0);
    const channels = [...this.#channels.values()].filter((c) => c.shares.length > 0);
    const weights = channels.reduce((n, c) => n + c.weightsEach * c.seen.length, 0);
    const curve = this.#checkpoints.slice(0, Math.max(0, ...values.map((v) => v.widths.length))).map((samples, i): CoveragePoint => {
      const shares = values
        .map((v) => {
          const last = v.widths.at(-1) as number;
          return last === 0 ? 1 : (v.widths[i] as number) / last;
        })
        .sort((a, b) => a - b);
      const seen = channels.reduce((n, c) => n + c.weightsEach * c.seen.length * (c.shares[i] as number), 0);
      return { samples, median: quantile(shares, 0.5), lowest: quantile(shares, 0.1), weights: weights === 0 ? 1 : seen / weights };
    });
    const total = curve.at(-1)?.samples ?? 0;
    // The last point covers itself by definition: only an earlier one shows that more samples would add little.
    const found = curve.find((p) => p.lowest >= ENOUGH && p.samples <= total / 2)?.samples ?? null;
    return { curve, enough: found, advised: found ?? 2 * total };
  }
}

function markSeen(seen: Uint8Array, data: ArrayLike<number>, from: number, length: number, stride: number): void {
  if (stride === 1) {
    for (let i = 0; i < length; i++) if (data[from + i] !== 0) seen[i % seen.length] = 1;
    return;
  }
  for (let c = 0; c < seen.length; c++) {
    if (seen[c] === 1) continue;
    const at = from + c * stride;
    for (let i = 0; i < stride; i++)
      if (data[at + i] !== 0) {
        seen[c] = 1;
        break;
      }
  }
}
