import { expect, it } from "vitest";
import { type Feeds, fromNumbers, type Graph, type Op, randomFrom, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { createStatistics } from "../../../../compiler/driver/engine/ort.js";
import { clippedScales, quantizeWeights, weightScales } from "../../../../passes/quantize/weights.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

const tensorOf = (dims: readonly number[], values: readonly number[]): Tensor => fromNumbers("f32", dims, values);

/** Errors of stored weights, the slow way. */
const errorOf = (w: Tensor, scale: number[], bits: number): number => {
  const q = toNumbers(quantizeWeights(w, scale, 0, bits));
  const inner = w.data.length / scale.length;
  return toNumbers(w).reduce((n, v, i) => n + (v - (q[i] as number) * (scale[Math.floor(i / inner)] as number)) ** 2, 0);
};

it("clipped scales of weights have the least error of a fine grid, and never more than the whole range", () => {
  const random = randomFrom(3);
  // Sums of uniform numbers: short tails, with one outlier in the first row.
  const values = Array.from({ length: 2 * 200 }, (_, i) => (i === 5 ? 6 : random() + random() + random() - 1.5));
  const w = tensorOf([2, 200], values);
  for (const bits of [3, 4, 8]) {
    const [full, found] = [weightScales(w, 0, bits), clippedScales(w, 0, bits)];
    for (let c = 0; c < 2; c++) {
      const row = tensorOf([1, 200], values.slice(c * 200, c * 200 + 200));
      let least = Number.POSITIVE_INFINITY;
      for (let k = 1; k <= 1000; k++) least = Math.min(least, errorOf(row, [((full[c] as number) * k) / 1000], bits));
      const got = errorOf(row, [found[c] as number], bits);
      expect(got).toBeLessThanOrEqual(errorOf(row, [full[c] as number], bits));
      // The search stops at half of the range, as no sane distribution is cut further at these widths but for the outlier.
      if (!(bits < 8 && c === 0)) expect(got).toBeLessThan(1.1 * least);
    }
  }
});

const text = `in %x : f32[N, 8]
const %w : f32[8, 4] = random(1)
%y = gemm %x, %w @"op"
out %y`;
const scaleOf = (g: Graph): number =>
  ((g.ops.find((o) => o.name === "op") as Op).annotations["quant"] as { inputs: { scale: number[] }[] }).inputs[0]?.scale[0] as number;

it("a range is chosen by the error behind the op: outliers that no weight reads are clipped", async () => {
  const g = graphOf(text.replace("random(1)", `dense [${Array.from({ length: 32 }, (_, i) => (i < 4 ? 0 : ((i * 7) % 5) - 2)).join(", ")}]`));
  const samples = [1, 2].map((seed): Feeds => {
    const x = toNumbers((randomFeeds(g, seed, 16) as Feeds)["x"] as Tensor);
    // Input 0 is never read: its weights are zero.
    return {
      x: tensorOf(
        [16, 8],
        Array.from(x, (v, i) => (i % 8 === 0 ? v * 2 : v)),
      ),
    };
  });
  const options = { executor: observingExecutor, calibration: samplesOf(...samples) };
  await runPasses(g, 'annotate-int8{range: "minmax"},observe', options);
  const [before, whole] = [scaleOf(g), g.clone()];
  const r = await runPasses(g, "tune-ranges{samples: 16}", options);
  expect(scaleOf(g)).toBeLessThan(before);
  expect(r.decisions[0]).toMatchObject({ op: "op", action: "range tuned" });
  const errors: number[] = [];
  for (const graph of [whole, g]) {
    await runPasses(graph, "materialize-qdq", options);
    let error = 0;
    for (const f of samples) {
      const [a, b] = [await evaluateGraph(graphOf(text), f), await evaluateGraph(graph, f)];
      expect(Object.keys(a)).toEqual(Object.keys(b));
      const float = graphOf(text.replace("random(1)", `dense [${Array.from({ length: 32 }, (_, i) => (i < 4 ? 0 : ((i * 7) % 5) - 2)).join(", ")}]`));
      const want = toNumbers((await evaluateGraph(float, f))["y"] as Tensor);
      toNumbers(b["y"] as Tensor).forEach((v, i) => {
        error += (v - (want[i] as number)) ** 2;
      });
    }
    errors.push(error);
  }
  expect(errors[1]).toBeLessThan(errors[0] as number);
});

it("moving_average: extremes of batches, averaged; an outlier of one batch hardly counts", async () => {
  const s = createStatistics(0);
  for (const v of [
    [0, 10],
    [-4, 30],
    [5, 8],
  ])
    s.add(tensorOf([2], v));
  expect(s.read().averageMin).toBeCloseTo((0 - 4 * 0.1) * 0.9 + 5 * 0.1, 12);
  expect(s.read().averageMax).toBeCloseTo((9 + 3) * 0.9 + 0.8, 12);
});

it("equal slices of ragged batches give channel statistics; varying lengths give none", () => {
  const s = createStatistics(0, true);
  s.add(tensorOf([1, 2], [1, 5]));
  s.add(tensorOf([2, 2], [3, 7, 5, 9]));
  expect(Array.from(s.read().channels?.mean ?? [])).toEqual([3, 7]);
  s.add(tensorOf([1, 3], [1, 2, 3]));
  expect(s.read().channels).toBeUndefined();
  expect(s.read().count).toBe(9);
});
