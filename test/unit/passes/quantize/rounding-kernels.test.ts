/** The native kernels of learned rounding, against brute force and the papers' own formulas. */
import { expect, it } from "vitest";
import { type CecError, normalFrom, type RoundingProblem, randomFrom } from "../../../../compiler/core/index.js";
import { roundingKernels } from "../../../../runtime-native/ts/index.js";

type Matrix = readonly (readonly number[])[];

/** Moments of correlated inputs that are mostly positive, as behind a Relu; and weights in steps. */
function problem(seed: number, depth: number, channels: number, blocks = 1): RoundingProblem & { readonly h: Matrix[] } {
  const random = randomFrom(seed);
  const h: number[][][] = [];
  for (let b = 0; b < blocks; b++) {
    const columns = Array.from({ length: 4 * depth }, () => {
      const common = normalFrom(random);
      return Array.from({ length: depth }, () => Math.max(0, common + normalFrom(random)));
    });
    h.push(
      Array.from({ length: depth }, (_, i) =>
        Array.from(
          { length: depth },
          (_, j) => columns.reduce((s, x) => s + (x[i] as number) * (x[j] as number), 0) / columns.length + (i === j ? 0.01 : 0),
        ),
      ),
    );
  }
  return {
    method: "gptq",
    blocks,
    channels,
    depth,
    steps: Float64Array.from({ length: blocks * channels * depth }, () => (random() - 0.5) * 14),
    moments: Float64Array.from(h.flat(2)),
    lo: -7,
    hi: 7,
    actOrder: true,
    iterations: 400,
    regularization: 0.1,
    pairSweeps: 0,
    h,
  };
}

const errorOf = (h: Matrix, d: readonly number[]): number =>
  d.reduce((s, a, i) => s + d.reduce((t, b, j) => t + a * b * ((h[i] as number[])[j] as number), 0), 0);
// + 0: there is no -0 among integers.
const clamp = (v: number): number => Math.max(-7, Math.min(7, v)) + 0;
const channel = (p: RoundingProblem, a: ArrayLike<number>, c: number): number[] =>
  Array.from({ length: p.depth }, (_, k) => a[c * p.depth + k] as number);

/** The least error over all 2^depth ways to round up or down. */
function bruteForce(h: Matrix, steps: readonly number[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (let mask = 0; mask < 2 ** steps.length; mask++)
    least = Math.min(
      least,
      errorOf(
        h,
        steps.map((v, k) => clamp(Math.floor(v) + ((mask >> k) & 1)) - v),
      ),
    );
  return least;
}

/** GPTQ as the paper writes it: the inverse of H, its upper Cholesky factor, and updates of the weights still to be rounded. */
function paperGptq(h: Matrix, steps: readonly number[]): number[] {
  const n = steps.length;
  const order = steps.map((_, k) => k).sort((a, b) => ((h[b] as number[])[b] as number) - ((h[a] as number[])[a] as number));
  // Gauss-Jordan on [H | 1].
  const m = order.map((i, r) => [...order.map((j) => (h[i] as number[])[j] as number), ...order.map((_, c) => (c === r ? 1 : 0))]);
  for (let i = 0; i < n; i++) {
    const row = m[i] as number[];
    const pivot = row[i] as number;
    for (let c = 0; c < 2 * n; c++) row[c]! /= pivot;
    for (let r = 0; r < n; r++) {
      if (r === i) continue;
      const factor = (m[r] as number[])[i] as number;
      for (let c = 0; c < 2 * n; c++) (m[r] as number[])[c]! -= factor * (row[c] as number);
    }
  }
  const inverse = m.map((row) => row.slice(n));
  const u = inverse.map(() => new Array<number>(n).fill(0));
  for (let i = 0; i < n; i++)
    for (let j = i; j < n; j++) {
      let s = (inverse[i] as number[])[j] as number;
      for (let k = 0; k < i; k++) s -= ((u[k] as number[])[i] as number) * ((u[k] as number[])[j] as number);
      (u[i] as number[])[j] = j === i ? Math.sqrt(s) : s / ((u[i] as number[])[i] as number);
    }
  const w = order.map((k) => steps[k] as number);
  const out = new Array<number>(n).fill(0);
  for (let i = 0; i < n; i++) {
    const q = clamp(Math.round(w[i] as number));
    const error = ((w[i] as number) - q) / ((u[i] as number[])[i] as number);
    for (let j = i; j < n; j++) w[j]! -= error * ((u[i] as number[])[j] as number);
    out[order[i] as number] = q;
  }
  return out;
}

/** Steepest single changes until none helps. */
function descend(h: Matrix, steps: readonly number[], start: readonly number[]): number[] {
  const q = [...start];
  for (;;) {
    const now = errorOf(
      h,
      q.map((v, k) => v - (steps[k] as number)),
    );
    let [best, least] = [-1, now * (1 - 1e-12)];
    let by = 0;
    q.forEach((v, k) => {
      for (const change of [-1, 1]) {
        if (Math.abs(v + change) > 7) continue;
        const e = errorOf(
          h,
          q.map((w, i) => w + (i === k ? change : 0) - (steps[i] as number)),
        );
        if (e < least) [best, least, by] = [k, e, change];
      }
    });
    if (best < 0) return q;
    q[best]! += by;
  }
}

it("adaround with pairs finds the best of all 2^depth roundings of nearly every channel, and is never far from it", async () => {
  let [best, all] = [0, 0];
  for (const seed of [1, 2, 3, 4]) {
    const p = { ...problem(seed, 10, 8), method: "adaround" as const, pairSweeps: 4 };
    const found = await roundingKernels(1).round(p);
    for (let c = 0; c < p.channels; c++) {
      const steps = channel(p, p.steps, c);
      const q = channel(p, found.integers, c);
      q.forEach((v, k) => expect([clamp(Math.floor(steps[k] as number)), clamp(Math.floor(steps[k] as number) + 1)]).toContain(v));
      const least = bruteForce(p.h[0] as Matrix, steps);
      const error = errorOf(
        p.h[0] as Matrix,
        q.map((v, k) => v - (steps[k] as number)),
      );
      expect(found.error[c]).toBeCloseTo(error, 9);
      expect(error).toBeGreaterThan(least * (1 - 1e-9));
      expect(error).toBeLessThan(least * 1.5);
      all++;
      if (error < least * (1 + 1e-9)) best++;
    }
  }
  expect(best / all).toBeGreaterThan(0.8);
});

it("gptq is the paper's, followed by descent, or descent from the nearest integers where that is better", async () => {
  for (const seed of [5, 6, 7]) {
    const p = problem(seed, 12, 6);
    const found = await roundingKernels(1).round(p);
    const h = p.h[0] as Matrix;
    for (let c = 0; c < p.channels; c++) {
      const steps = channel(p, p.steps, c);
      const error = (q: readonly number[]): number =>
        errorOf(
          h,
          q.map((v, k) => v - (steps[k] as number)),
        );
      const nearest = steps.map((v) => clamp(Math.round(v)));
      const [a, b] = [descend(h, steps, paperGptq(h, steps)), descend(h, steps, nearest)];
      expect(channel(p, found.integers, c)).toEqual(error(b) < error(a) ? b : a);
      expect(found.nearestError[c]).toBeCloseTo(error(nearest), 9);
    }
  }
});

it("neither method is worse than the nearest integers; no single change helps; pairs only lower the error", async () => {
  for (const method of ["adaround", "gptq"] as const) {
    const p = { ...problem(8, 40, 10), method };
    const found = await roundingKernels(1).round(p);
    const paired = await roundingKernels(1).round({ ...p, pairSweeps: 3 });
    for (let c = 0; c < p.channels; c++) {
      expect(found.error[c]).toBeLessThanOrEqual(found.nearestError[c] as number);
      expect(paired.error[c]).toBeLessThanOrEqual((found.error[c] as number) * (1 + 1e-9));
    }
    expect(paired.error.reduce((a, b) => a + b)).toBeLessThan(0.5 * found.nearestError.reduce((a, b) => a + b));
  }
});

it("uncorrelated inputs are rounded to the nearest", async () => {
  const base = problem(9, 20, 4);
  const moments = base.moments.map((v, i) => (i % 21 === 0 ? v : 0));
  for (const method of ["adaround", "gptq"] as const) {
    const { integers } = await roundingKernels(1).round({ ...base, moments, method, pairSweeps: 1 });
    expect([...integers]).toEqual([...base.steps].map((v) => clamp(Math.round(v))));
  }
});

it("results depend neither on threads nor on how problems are put together", async () => {
  for (const method of ["adaround", "gptq"] as const) {
    const p = { ...problem(10, 33, 150, 3), method, pairSweeps: 1 };
    const one = await roundingKernels(1).round(p);
    expect(await roundingKernels(3).round(p)).toEqual(one);
    const last = await roundingKernels(2).round({
      ...p,
      blocks: 1,
      steps: p.steps.slice(2 * 150 * 33),
      moments: p.moments.slice(2 * 33 * 33),
    });
    expect(last.integers).toEqual(one.integers.slice(2 * 150 * 33));
  }
});

it("refuses moments that are not positive definite, rows outside of the input and arrays that are too short", async () => {
  const code = async (run: Promise<unknown>): Promise<string | undefined> =>
    run.then(
      () => undefined,
      (e) => (e as CecError).diagnostics?.[0]?.code ?? String(e),
    );
  const p = problem(11, 4, 2);
  expect(await code(roundingKernels(1).round({ ...p, moments: new Float64Array(16) }))).toBe("CEC6007");
  expect(await code(roundingKernels(1).round({ ...p, steps: new Float64Array(7) }))).toBe("CEC6007");
  expect(await code(roundingKernels(0).round(p))).toBe("CEC6007");
  const one = {
    height: 1,
    width: 1,
    outH: 1,
    outW: 1,
    kernelH: 1,
    kernelW: 1,
    strideH: 1,
    strideW: 1,
    dilationH: 1,
    dilationW: 1,
    padTop: 0,
    padLeft: 0,
  };
  const job = {
    ...one,
    matrix: true,
    images: 2,
    channels: 3,
    groups: 1,
    x: new Float32Array(6),
    moments: new Float64Array(9),
    sums: new Float64Array(3),
  };
  expect(await code(roundingKernels(1).addMoments([{ ...job, rows: Int32Array.of(2) }]))).toBe("CEC6007");
  expect(await code(roundingKernels(1).addMoments([{ ...job, x: new Float32Array(5), rows: Int32Array.of(0) }]))).toBe("CEC6007");
});
