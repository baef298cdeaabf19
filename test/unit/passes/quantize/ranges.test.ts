import { expect, it } from "vitest";
import { randomFrom, type TensorStatistics } from "../../../../compiler/core/index.js";
import { chooseRange, entropyRange, mseRange, paramsOf, percentileRange, quantizationError, type Range } from "../../../../passes/quantize/ranges.js";
import { statisticsOf } from "../support.js";

const normal = (seed: number, n: number): number[] => {
  const r = randomFrom(seed);
  return Array.from({ length: n }, () => Math.sqrt(-2 * Math.log(1 - r())) * Math.cos(2 * Math.PI * r()));
};
const stored = (v: number, p: { scale: number; zeroPoint: number }, low: number, high: number): number =>
  (Math.min(high, Math.max(low, Math.round(v / p.scale) + p.zeroPoint)) - p.zeroPoint) * p.scale;

it("parameters keep zero exact and cover the range to half a step", () => {
  const r = randomFrom(3);
  for (let i = 0; i < 500; i++) {
    const [a, b] = [(r() - 0.5) * 10 ** (r() * 8 - 4), (r() - 0.5) * 10 ** (r() * 8 - 4)];
    const range = { low: Math.min(a, b), high: Math.max(a, b) };
    for (const [type, low, high] of [
      ["u8", 0, 255],
      ["i8", -128, 127],
    ] as const) {
      const p = paramsOf(range, type, "asymmetric");
      expect(Number.isInteger(p.zeroPoint)).toBe(true);
      expect(stored(0, p, low, high)).toBe(0);
      // The zero point is rounded: the ends may move by half a step, and are stored within one.
      for (const end of [range.low, range.high]) expect(Math.abs(stored(end, p, low, high) - end)).toBeLessThanOrEqual(p.scale * 1.0001);
    }
    const s = paramsOf(range, "i8", "symmetric");
    expect(s.zeroPoint).toBe(0);
    expect((s.scale * 127) / Math.max(Math.abs(range.low), Math.abs(range.high))).toBeCloseTo(1, 5);
  }
});

it("a range of nothing but zero, or of nothing, has scale one", () => {
  for (const scheme of ["asymmetric", "symmetric"] as const) expect(paramsOf({ low: 0, high: 0 }, "u8", scheme)).toEqual({ scale: 1, zeroPoint: 0 });
});

it("the range of one value holds that value and zero", () => {
  expect(paramsOf({ low: 5, high: 5 }, "u8", "asymmetric")).toEqual({ scale: Math.fround(5 / 255), zeroPoint: 0 });
  expect(paramsOf({ low: -5, high: -5 }, "u8", "asymmetric")).toEqual({ scale: Math.fround(5 / 255), zeroPoint: 255 });
  for (const method of ["minmax", "percentile", "entropy", "mse"] as const)
    expect(chooseRange(statisticsOf([5, 5, 5], 128), method)).toEqual({ low: 5, high: 5 });
});

it("minmax is what was seen", () => {
  expect(chooseRange(statisticsOf([-3, 0, 7], 128), "minmax")).toEqual({ low: -3, high: 7 });
});

it("no value seen gives no range", () => {
  for (const method of ["minmax", "percentile", "entropy", "mse"] as const)
    expect(chooseRange(statisticsOf([], 128), method)).toEqual({ low: 0, high: 0 });
});

it("percentile leaves the wanted share outside, to one bin", () => {
  for (const [seed, percentile] of [
    [1, 99],
    [2, 95],
    [3, 99.9],
  ] as const) {
    const values = normal(seed, 5000);
    const s = statisticsOf(values, 1024);
    const tail = ((100 - percentile) / 100) * values.length;
    const width = (s.max - s.min) / 1024;
    const { low, high } = percentileRange(s, percentile);
    expect(values.filter((v) => v > high + width).length).toBeLessThanOrEqual(tail);
    expect(values.filter((v) => v > high - width).length).toBeGreaterThanOrEqual(tail);
    expect(values.filter((v) => v < low - width).length).toBeLessThanOrEqual(tail);
    expect(values.filter((v) => v < low + width).length).toBeGreaterThanOrEqual(tail);
  }
});

it("percentile 100 is minmax", () => {
  const s = statisticsOf(normal(4, 1000), 512);
  expect(percentileRange(s, 100)).toEqual({ low: s.min, high: s.max });
});

/** The error that values really have when they are stored so. */
function measured(values: readonly number[], range: Range, type: "u8" | "i8", scheme: "asymmetric" | "symmetric"): number {
  const p = paramsOf(range, type, scheme);
  const [low, high] = type === "u8" ? [0, 255] : [scheme === "symmetric" ? -127 : -128, 127];
  return values.reduce((sum, v) => sum + (stored(v, p, low, high) - v) ** 2, 0) / values.length;
}

it("the expected error is the measured one, to a few percent", () => {
  const values = normal(5, 20000);
  const s = statisticsOf(values, 2048);
  for (const share of [1, 0.8, 0.6, 0.4]) {
    const range = { low: s.min * share, high: s.max * share };
    for (const [type, scheme] of [
      ["u8", "asymmetric"],
      ["i8", "symmetric"],
    ] as const) {
      const real = measured(values, range, type, scheme);
      expect(Math.abs(quantizationError(s, range, type, scheme) / real - 1)).toBeLessThan(0.06);
    }
  }
});

it.each([
  ["u8", "asymmetric", 1],
  ["i8", "symmetric", 1],
  ["u8", "symmetric", 0],
] as const)("mse finds a range whose measured error is close to the best of a grid (%s %s)", (type, scheme, negative) => {
  // A bell with two far outliers, which a good range cuts off.
  const values = [...normal(6, 8000), 40, negative === 1 ? -35 : 35].map((v) => (negative === 1 ? v : Math.abs(v)));
  const s = statisticsOf(values, 2048);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 1; i <= 60; i++)
    for (let j = scheme === "asymmetric" ? 1 : i; j <= (scheme === "asymmetric" ? 60 : i); j++) {
      const [a, b] = [i / 60, j / 60];
      const top = Math.max(-s.min, s.max);
      const range = scheme === "asymmetric" ? { low: s.min * a, high: s.max * b } : { low: Math.max(s.min, -top * a), high: top * a };
      best = Math.min(best, measured(values, range, type, scheme));
    }
  const found = measured(values, mseRange(s, type, scheme), type, scheme);
  expect(found).toBeLessThanOrEqual(best * 1.1);
  expect(found).toBeLessThan(measured(values, { low: s.min, high: s.max }, type, scheme));
});

it("mse ranges of values that are never positive are no worse than the full range", () => {
  const values = [...normal(6, 8000).map((v) => -Math.abs(v)), -60];
  const s = statisticsOf(values, 2048);
  const found = mseRange(s, "u8", "asymmetric");
  expect(measured(values, found, "u8", "asymmetric")).toBeLessThanOrEqual(measured(values, { low: s.min, high: s.max }, "u8", "asymmetric"));
});

/** KL divergence of each threshold by the definition, with the bins of magnitudes counted from the values themselves. */
function divergences(values: readonly number[], s: TensorStatistics, levels: number): Map<number, number> {
  const width = (s.histogram.hi - s.histogram.lo) / s.histogram.counts.length;
  const bins = Math.ceil(Math.max(-s.min, s.max) / width);
  const p = new Array<number>(bins).fill(0);
  for (const v of values) p[Math.min(bins - 1, Math.floor(Math.abs(v) / width))]! += 1;
  // Zeros are exact at any threshold, so they do not count.
  p[0] = p[1] as number;
  const out = new Map<number, number>();
  for (let end = levels; end <= bins; end++) {
    const reference = p.slice(0, end);
    reference[end - 1]! += p.slice(end).reduce((a, b) => a + b, 0);
    const q = new Array<number>(end).fill(0);
    for (let l = 0; l < levels; l++) {
      const at = Array.from({ length: end }, (_, i) => i).filter(
        (i) => i >= Math.floor((l * end) / levels) && i < Math.floor(((l + 1) * end) / levels),
      );
      const filled = at.filter((i) => (p[i] as number) > 0);
      for (const i of filled) q[i] = at.reduce((a, j) => a + (p[j] as number), 0) / filled.length;
    }
    const [ps, qs] = [reference.reduce((a, b) => a + b, 0), q.reduce((a, b) => a + b, 0)];
    let kl = 0;
    reference.forEach((v, i) => {
      if (v > 0) kl += (v / ps) * ((q[i] as number) > 0 ? Math.log(v / ps / ((q[i] as number) / qs)) : 40);
    });
    out.set(end * width, kl);
  }
  return out;
}

it("entropy picks a threshold of near least divergence, by the definition", () => {
  // Skewed and positive: folding the histogram at zero is then exact.
  const values = normal(8, 6000).map((v) => v * v);
  const s = statisticsOf([0, ...values], 400);
  const all = divergences([0, ...values], s, 128);
  const least = Math.min(...all.values());
  const { low, high } = entropyRange(s);
  const nearest = [...all].reduce((a, b) => (Math.abs(b[0] - high) < Math.abs(a[0] - high) ? b : a));
  expect(low).toBe(0);
  expect(nearest[1]).toBeLessThanOrEqual(least * 1.02 + 1e-6);
});

it("entropy cuts off far outliers, and keeps what has few bins", () => {
  const values = [...normal(9, 20000), 50, -50];
  const { low, high } = entropyRange(statisticsOf(values, 2048));
  expect(high).toBeLessThan(25);
  expect(low).toBeGreaterThan(-25);
  expect(entropyRange(statisticsOf([0, 1, 2], 128))).toEqual({ low: 0, high: 2 });
});

it("entropy does not mind how many values are exactly zero", () => {
  const values = [0, ...normal(10, 20000).map((v) => Math.abs(v))];
  const half = [...values, ...new Array<number>(20000).fill(0)];
  const { high } = entropyRange(statisticsOf(half, 2048));
  expect(high).toBe(entropyRange(statisticsOf(values, 2048)).high);
  // Few of what a Relu lets through is clipped.
  expect(values.filter((v) => v > high).length / values.length).toBeLessThan(0.01);
});
