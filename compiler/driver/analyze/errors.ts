/** Sums from which error figures come; nothing grows with the number of samples. */

/** The error of values against others: mean square, ratio and angle. */
export interface ErrorFigures {
  readonly mse: number;
  /** Signal to quantization noise ratio, dB; infinite for no error. */
  readonly sqnr: number;
  readonly cosine: number;
}

/** Adds up what the figures need, batch by batch. */
export class ErrorSum {
  #signal = 0;
  #noise = 0;
  #test = 0;
  #dot = 0;
  #count = 0;

  /** @param reference the float values, @param test the quantized model's, of the same length */
  add(reference: ArrayLike<number>, test: ArrayLike<number>, length = Math.min(reference.length, test.length)): void {
    let [signal, noise, other, dot] = [0, 0, 0, 0];
    for (let i = 0; i < length; i++) {
      const [a, b] = [reference[i] as number, test[i] as number];
      signal += a * a;
      noise += (a - b) * (a - b);
      other += b * b;
      dot += a * b;
    }
    this.#signal += signal;
    this.#noise += noise;
    this.#test += other;
    this.#dot += dot;
    this.#count += length;
  }

  read(): ErrorFigures {
    const norm = Math.sqrt(this.#signal * this.#test);
    return {
      mse: this.#count === 0 ? 0 : this.#noise / this.#count,
      sqnr: decibels(this.#signal, this.#noise),
      cosine: norm === 0 ? (this.#signal === this.#test ? 1 : 0) : this.#dot / norm,
    };
  }
}

/** 10 log10(signal / noise); infinite without noise. */
export const decibels = (signal: number, noise: number): number => (noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise));

/** What an output's error does to predictions. */
export interface OutputEffect extends ErrorFigures {
  /** Kullback-Leibler divergence of the class probabilities, in nats, mean over samples; `null` where the output is no row of classes. */
  readonly kl: number | null;
  /** Samples whose highest output differs; `null` likewise. */
  readonly flips: number | null;
}

/** Log probabilities of one row: what softmax gives, or the values themselves where they are probabilities already. */
function logProbabilities(y: ArrayLike<number>, from: number, width: number): Float64Array {
  const out = new Float64Array(width);
  let [sum, least, top] = [0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < width; i++) {
    const v = y[from + i] as number;
    sum += v;
    least = Math.min(least, v);
    top = Math.max(top, v);
  }
  if (least >= 0 && Math.abs(sum - 1) < 1e-3) return out.map((_, i) => Math.log(Math.max(y[from + i] as number, 1e-12)));
  let mass = 0;
  for (let i = 0; i < width; i++) mass += Math.exp((y[from + i] as number) - top);
  const shift = top + Math.log(mass);
  return out.map((_, i) => (y[from + i] as number) - shift);
}

/** Counts the effect on one output, `rows` samples at a time; an output of more or fewer axes than [N, classes] has no KL and no flips. */
export class EffectSum {
  readonly #error = new ErrorSum();
  readonly #classes: boolean;
  #kl = 0;
  #flips = 0;
  #samples = 0;

  constructor(rank: number) {
    this.#classes = rank === 2;
  }

  add(reference: ArrayLike<number>, test: ArrayLike<number>, rows: number, width: number): void {
    this.#error.add(reference, test, rows * width);
    this.#samples += rows;
    if (!this.#classes || width < 2) return;
    for (let r = 0; r < rows; r++) {
      const [p, q] = [logProbabilities(reference, r * width, width), logProbabilities(test, r * width, width)];
      let [a, b] = [0, 0];
      for (let i = 0; i < width; i++) {
        const [lp, lq] = [p[i] as number, q[i] as number];
        this.#kl += Math.exp(lp) * (lp - lq);
        if (lp > (p[a] as number)) a = i;
        if (lq > (q[b] as number)) b = i;
      }
      if (a !== b) this.#flips++;
    }
  }

  read(): OutputEffect {
    const known = this.#classes && this.#samples > 0;
    return { ...this.#error.read(), kl: known ? Math.max(0, this.#kl / this.#samples) : null, flips: known ? this.#flips : null };
  }
}
