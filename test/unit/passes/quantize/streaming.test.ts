/** Statistics of the native engine stream: neither the split into batches nor the order of equal samples may change what they say, and memory stays constant. */
import { expect, it } from "vitest";
import { type Feeds, f32, randomFrom, type TensorStatistics } from "../../../../compiler/core/index.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { chooseRange } from "../../../../passes/quantize/ranges.js";
import { graphOf, statisticsOf } from "../support.js";

const graph = () => graphOf('in %x : f32[N, 4]\nconst %w : f32[4, 3] = random(1)\n%y = matmul %x, %w @"m"\n%z = relu %y @"r"\nout %z');
const rows = (n: number, seed: number): number[][] => {
  const r = randomFrom(seed);
  // The range grows on the way, so that histograms have to widen.
  return Array.from({ length: n }, (_, i) => Array.from({ length: 4 }, () => (r() - 0.5) * (1 + i / 8)));
};

async function observed(data: readonly number[][], batch: number, bins = 512): Promise<ReadonlyMap<string, TensorStatistics>> {
  async function* batches(): AsyncIterable<Feeds> {
    for (let i = 0; i < data.length; i += batch) {
      const part = data.slice(i, i + batch);
      yield { x: f32([part.length, 4], part.flat()) };
    }
  }
  return nativeExecutor().observe(graph(), ["x", "y"], batches(), { bins });
}

it("extremes, counts and moments do not depend on the split into batches", async () => {
  const data = rows(96, 1);
  const [one, many, odd] = [await observed(data, 96), await observed(data, 8), await observed(data, 7)];
  for (const name of ["x", "y"]) {
    const a = one.get(name) as TensorStatistics;
    for (const other of [many, odd]) {
      const b = other.get(name) as TensorStatistics;
      expect({ count: b.count, min: b.min, max: b.max, nan: b.nanCount, inf: b.infCount }).toEqual({
        count: a.count,
        min: a.min,
        max: a.max,
        nan: 0,
        inf: 0,
      });
      expect(b.mean).toBeCloseTo(a.mean, 5);
      expect(b.std).toBeCloseTo(a.std, 4);
      expect(b.histogram.counts.length).toBe(512);
      expect(b.histogram.counts.reduce((p, q) => p + q, 0)).toBe(a.count);
    }
  }
});

it("they are what counting all values at once gives", async () => {
  const data = rows(96, 2);
  const s = (await observed(data, 8)).get("x") as TensorStatistics;
  const all = statisticsOf(data.flat().map(Math.fround), 512);
  expect({ count: s.count, min: s.min, max: s.max }).toEqual({ count: all.count, min: all.min, max: all.max });
  expect(s.mean).toBeCloseTo(all.mean, 5);
  expect(s.std).toBeCloseTo(all.std, 4);
});

it.each(["percentile", "entropy", "mse"] as const)("ranges by %s do not depend on the split by more than a few bins", async (method) => {
  const data = rows(200, 3);
  const [a, b] = [await observed(data, 200), await observed(data, 8)];
  for (const name of ["x", "y"]) {
    const [r, s] = [chooseRange(a.get(name) as TensorStatistics, method), chooseRange(b.get(name) as TensorStatistics, method)];
    const span = r.high - r.low;
    expect(Math.abs(r.low - s.low) / span).toBeLessThan(0.05);
    expect(Math.abs(r.high - s.high) / span).toBeLessThan(0.05);
  }
});

it("values that are not finite are counted and change no range", async () => {
  const data = [
    [1, 2, 3, 4],
    [Number.NaN, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ];
  const s = (await observed(data, 1)).get("x") as TensorStatistics;
  expect({ nan: s.nanCount, inf: s.infCount, min: s.min, max: s.max }).toEqual({ nan: 1, inf: 2, min: -1, max: 4 });
});

it("batches without elements are seen as nothing", async () => {
  async function* none(): AsyncIterable<Feeds> {
    yield { x: f32([0, 4], []) };
  }
  const s = (await nativeExecutor().observe(graph(), ["x"], none(), { bins: 128 })).get("x");
  expect(s?.count ?? 0).toBe(0);
  if (s !== undefined) expect(chooseRange(s, "mse")).toEqual({ low: 0, high: 0 });
});
