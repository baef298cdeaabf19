/** The figures of `cec analyze` against closed forms and plain loops. */
import { expect, it } from "vitest";
import { normalFrom, randomFrom } from "../../../../compiler/core/index.js";
import { CoverageSum } from "../../../../compiler/driver/analyze/coverage.js";
import { EffectSum, ErrorSum } from "../../../../compiler/driver/analyze/errors.js";
import { QuantizerSum } from "../../../../compiler/driver/analyze/quantizers.js";
import { createStatistics } from "../../../../compiler/driver/engine/ort.js";

it("mse, SQNR and cosine of two vectors, over batches", () => {
  const sum = new ErrorSum();
  sum.add([3, 0], [3, 1]);
  sum.add([4], [4]);
  const r = sum.read();
  expect(r.mse).toBeCloseTo(1 / 3, 12);
  expect(r.sqnr).toBeCloseTo(10 * Math.log10(25), 12);
  expect(r.cosine).toBeCloseTo(25 / Math.sqrt(25 * 26), 12);
  expect(new ErrorSum().read()).toEqual({ mse: 0, sqnr: Number.POSITIVE_INFINITY, cosine: 1 });
});

it("KL divergence and flips of logits and of probabilities", () => {
  const kl = 0.5 * Math.log(0.5 / 0.25) + 0.5 * Math.log(0.5 / 0.75);
  const logits = new EffectSum(2);
  logits.add([0, 0, 5, 1], [0, Math.log(3), 5, 1], 2, 2);
  expect(logits.read().kl).toBeCloseTo(kl / 2, 12);
  expect(logits.read().flips).toBe(1);
  const probabilities = new EffectSum(2);
  probabilities.add([0.5, 0.5], [0.25, 0.75], 1, 2);
  expect(probabilities.read().kl).toBeCloseTo(kl, 9);
  const image = new EffectSum(4);
  image.add([1, 2], [1, 2], 1, 2);
  expect(image.read()).toMatchObject({ kl: null, flips: null });
});

it("counts what a quantizer clips, and its error, like a plain loop", () => {
  const random = randomFrom(1);
  const x = Float32Array.from({ length: 5000 }, () => normalFrom(random));
  const [scale, zero] = [0.02, 120];
  const quantizer = {
    value: "x",
    result: "x.dq",
    type: "u8",
    scale: [scale],
    zeroPoint: [zero],
    axis: null,
    low: -zero * scale,
    high: (255 - zero) * scale,
  } as const;
  const sum = new QuantizerSum(quantizer);
  const statistics = createStatistics(2048);
  for (const part of [x.subarray(0, 2000), x.subarray(2000)]) {
    sum.add(part, part.length);
    statistics.add({ type: "f32", dims: [part.length], data: part });
  }
  const r = sum.read("x", statistics.read());
  let [clipped, noise, signal, far] = [0, 0, 0, 0];
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const std = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length);
  for (const v of x) {
    const stored = Math.max(0, Math.min(255, Math.round(v / scale) + zero));
    if (Math.round(v / scale) + zero !== stored) clipped++;
    if (Math.abs(v - mean) > 3 * std) far++;
    noise += (v - (stored - zero) * scale) ** 2;
    signal += v * v;
  }
  expect(clipped).toBeGreaterThan(10);
  expect(r.clipped).toBe(clipped);
  expect(r.sqnr).toBeCloseTo(10 * Math.log10(signal / noise), 6);
  expect(Math.abs(r.outliers - far / x.length)).toBeLessThan(5e-4);
  // The histogram's expectation is near what was measured, and the best range is no worse.
  expect(Math.abs(r.expected - r.sqnr)).toBeLessThan(0.5);
  expect(r.best.sqnr).toBeGreaterThanOrEqual(r.expected);
});

it("outlier bits: one value a hundred times out of range costs log2 of the ratio", () => {
  const x = Float32Array.from({ length: 4001 }, (_, i) => (i === 4000 ? 100 : Math.sin(i)));
  const statistics = createStatistics(4096);
  statistics.add({ type: "f32", dims: [x.length], data: x });
  const s = statistics.read();
  const quantizer = {
    value: "x",
    result: "y",
    type: "i8",
    scale: [100 / 127],
    zeroPoint: [0],
    axis: null,
    low: (-128 * 100) / 127,
    high: 100,
  } as const;
  const sum = new QuantizerSum(quantizer);
  sum.add(x, x.length);
  const r = sum.read("x", s);
  const inner = s.mean + 3 * s.std + 1;
  expect(r.outliers).toBeCloseTo(1 / 4001, 9);
  expect(r.outlierBits).toBeCloseTo(Math.log2(101 / inner), 2);
  expect(r.unusedBits).toBeCloseTo(Math.log2((100 + (128 * 100) / 127) / 101), 2);
});

it("coverage by number of samples, by hand", () => {
  const sum = new CoverageSum(4);
  sum.watchChannels("x", 2, 10);
  const data = [
    [0, 1, 0, 0],
    [0, 2, 0, 0],
    [-2, 2, 0, 0],
    [0, 0, 0, 6],
  ];
  data.forEach((v, i) => {
    sum.add("x", i, v, 0, 4, 2);
    sum.add("y", i, [1], 0, 1, 1);
  });
  const { curve, enough, advised } = sum.read();
  expect(curve.map((p) => p.samples)).toEqual([1, 2, 4]);
  expect(curve.map((p) => p.lowest)).toEqual([1 / 8, 2 / 8, 1]);
  expect(curve.map((p) => p.weights)).toEqual([0.5, 0.5, 1]);
  expect([enough, advised]).toEqual([null, 8]);
});

it("coverage that stops growing says how many samples are enough", () => {
  const sum = new CoverageSum(16);
  for (let i = 0; i < 16; i++) sum.add("x", i, [-1, i === 0 ? 0.5 : 1], 0, 2, 1);
  expect(sum.read()).toMatchObject({ enough: 2, advised: 2 });
});

it("the histogram for other engines keeps its resolution when later data is lower", () => {
  const s = createStatistics(64);
  s.add({ type: "f32", dims: [2], data: Float32Array.of(0.1, 1) });
  s.add({ type: "f32", dims: [3], data: Float32Array.of(-0.5, -0.1, 0.9) });
  const { lo, hi, counts } = s.read().histogram;
  expect(hi - lo).toBeLessThanOrEqual(4);
  expect([...counts].reduce((a, b) => a + b)).toBe(5);
  expect(counts[Math.floor((-0.5 - lo) / ((hi - lo) / 64))]).toBe(1);
});
