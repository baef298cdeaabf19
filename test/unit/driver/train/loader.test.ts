import { expect, it } from "vitest";
import { fromNumbers, randomFrom, type Tensor } from "../../../../compiler/core/index.js";
import { augmentImage, imageShape } from "../../../../compiler/driver/train/augment.js";
import { checkIndices, indexLimits } from "../../../../compiler/driver/train/indices.js";
import { batchMaker, type LoaderSettings, openLoader, openSource, stepsOf } from "../../../../compiler/driver/train/loader.js";
import { rateAt } from "../../../../compiler/driver/train/schedule.js";
import { graphOf, runPasses } from "../../passes/support.js";

const settings: LoaderSettings = {
  source: { name: "shapes", kind: "generated", options: { shape: [1, 8, 8], count: 50, seed: 3 }, baseDir: ".", slice: [0, 45] },
  batch: 8,
  seed: 5,
  augment: { crop: 1, flip: true, cutout: 2 },
  limits: [],
};

it("gives the same batches with and without worker threads, from any step on", async () => {
  const data = await openSource(settings.source);
  const make = batchMaker(data, settings);
  const want = [];
  for (let step = 3; step < 14; step++) want.push(await make(step));
  for (const workers of [0, 1, 3]) {
    const loader = await openLoader(settings, data, workers, 3);
    for (const w of want) {
      const got = await loader.next();
      expect(got.labels).toEqual(w.labels);
      expect(got.arrays).toEqual(w.arrays);
    }
    await loader.close();
  }
});

it("uses each sample at most once an epoch, in another order each", async () => {
  const data = await openSource(settings.source);
  const make = batchMaker(data, { ...settings, augment: { crop: 0, flip: false, cutout: 0 } });
  const steps = stepsOf(data.size, 8);
  expect(steps).toBe(5);
  const epoch = async (e: number): Promise<string[]> => {
    const seen: string[] = [];
    for (let s = 0; s < steps; s++) {
      const { arrays } = await make(e * steps + s);
      const t = arrays[""] as Tensor;
      for (let i = 0; i < 8; i++) seen.push((t.data as Float32Array).slice(i * 64, i * 64 + 64).join());
    }
    return seen;
  };
  const [first, second] = [await epoch(0), await epoch(1)];
  expect(new Set(first).size).toBe(40);
  expect(second).not.toEqual(first);
});

it("faults of a loader thread arrive with their code", async () => {
  const source = { ...settings.source, kind: "npy" as const, options: { path: "/nowhere/x.npy" } };
  const loader = await openLoader({ ...settings, source }, await openSource(settings.source), 1, 0);
  await expect(loader.next()).rejects.toThrow(/CEC5001/);
  await loader.close();
});

it("checks labels against the classes and token ids against the table", async () => {
  const graph = graphOf(`
  in %ids : i64[N, 2]
  const %table : f32[5, 3] = random(1, -1, 1)
  %1 = gather %table, %ids {axis=0} : f32[N, 2, 3]
  out %1`);
  await runPasses(graph, "add-loss");
  const limits = indexLimits(graph);
  expect(limits).toEqual([
    { input: "ids", count: 5 },
    { input: "labels", count: 3 },
  ]);
  const check = (ids: number[], labels: number[]) => () =>
    checkIndices(limits, { arrays: { ids: fromNumbers("i64", [1, 2], ids) }, labels: Int32Array.from(labels) }, "words", 7);
  expect(check([0, 4], [2])).not.toThrow();
  expect(check([0, 4], [-1])).toThrow(/CEC5003: sample 7 of data set words has the label -1/);
  expect(check([0, 4], [3])).toThrow(/the label 3/);
  expect(check([0, 5], [0])).toThrow(/CEC5005: sample 7 of data set words has the index 5 for input "ids"/);
  // A batch is checked as it is made.
  const data = await openSource(settings.source);
  const make = batchMaker(data, { ...settings, limits: [{ input: "labels", count: 1 }] });
  await expect(make(0)).rejects.toThrow(/CEC5003: sample \d+ of data set shapes\[0:45\] has the label/);
});

it("cuts, mirrors and hides parts of images in either layout, and nothing else", () => {
  const planes = Float32Array.from({ length: 2 * 5 * 6 }, (_, i) => i + 1);
  const pixels = Float32Array.from({ length: 60 }, (_, i) => planes[(i % 2) * 30 + Math.floor(i / 2)] as number);
  const random = (seed: number) => randomFrom(seed);
  let [flips, shifts] = [0, 0];
  for (let seed = 0; seed < 60; seed++) {
    const a = { crop: 2, flip: true, cutout: 3 };
    const [first, last] = [new Float32Array(60), new Float32Array(60)];
    augmentImage(planes, first, 0, { channels: 2, height: 5, width: 6, strides: [30, 6, 1] }, a, random(seed));
    augmentImage(pixels, last, 0, { channels: 2, height: 5, width: 6, strides: [1, 12, 2] }, a, random(seed));
    expect(Float32Array.from({ length: 60 }, (_, i) => last[(i % 30) * 2 + Math.floor(i / 30)] as number)).toEqual(first);
    // What is not hidden or padded is one shift of the image, mirrored or not.
    const shown = [...first.slice(0, 30).entries()].filter(([, v]) => v !== 0);
    const offsets = new Set(shown.map(([at, v]) => [Math.floor((v - 1) / 6) - Math.floor(at / 6), ((v - 1) % 6) - (at % 6)].join()));
    const mirrored = new Set(shown.map(([at, v]) => [Math.floor((v - 1) / 6) - Math.floor(at / 6), ((v - 1) % 6) - (5 - (at % 6))].join()));
    expect(Math.min(offsets.size, mirrored.size)).toBeLessThanOrEqual(1);
    if (mirrored.size < offsets.size) flips++;
    if (![...offsets, ...mirrored].includes("0,0")) shifts++;
  }
  expect(flips).toBeGreaterThan(15);
  expect(flips).toBeLessThan(45);
  expect(shifts).toBeGreaterThan(30);
  expect(imageShape([3, 32, 32])?.strides).toEqual([1024, 32, 1]);
  expect(imageShape([32, 32, 3])?.strides).toEqual([1, 96, 3]);
  expect(imageShape([7])).toBeNull();
});

it("rates follow their closed forms", () => {
  const s = { rate: 0.4, gamma: 0.1, milestones: [0.5, 0.75], warmup: 4 } as const;
  expect(rateAt({ ...s, schedule: "constant" }, 1, 100)).toBeCloseTo(0.2, 12);
  expect(rateAt({ ...s, schedule: "constant" }, 99, 100)).toBe(0.4);
  expect([49, 50, 75].map((t) => rateAt({ ...s, schedule: "step" }, t, 100))).toEqual([0.4, 0.4 * 0.1, 0.4 * 0.1 ** 2]);
  expect(rateAt({ ...s, schedule: "cosine" }, 4, 100)).toBe(0.4);
  expect(rateAt({ ...s, schedule: "cosine" }, 52, 100)).toBeCloseTo(0.2, 12);
  expect(rateAt({ ...s, schedule: "cosine" }, 100, 100)).toBeCloseTo(0, 12);
});
