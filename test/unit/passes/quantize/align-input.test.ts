import { expect, it } from "vitest";
import { type Feeds, fromNumbers, type Graph, type Op, randomFrom, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { evaluateGraph, graphOf, observingExecutor, runPasses, samplesOf } from "../support.js";

const MEAN = [0.485, 0.456, 0.406];
const STD = [0.229, 0.224, 0.225];

/** An image of 8-bit pixels, normalized; both ends are there. */
function image(seed: number, normalize: (pixel: number, channel: number) => number): Feeds {
  const random = randomFrom(seed);
  const pixels = Array.from({ length: 3 * 64 }, (_, i) => (i % 64 === 0 ? 0 : i % 64 === 1 ? 255 : Math.floor(random() * 256)));
  return {
    x: fromNumbers(
      "f32",
      [1, 3, 8, 8],
      pixels.map((p, i) => Math.fround(normalize(p, Math.floor(i / 64)))),
    ),
  };
}
const torch = (p: number, c: number): number => (p / 255 - (MEAN[c] as number)) / (STD[c] as number);
const tensorflow = (p: number): number => p / 127.5 - 1;

const body = (pads: string): string =>
  `in %x : f32[N, 3, 8, 8]\nconst %w : f32[4, 3, 3, 3] = random(1)\nconst %b : f32[4] = random(2)\n%y = conv %x, %w, %b {${pads}} @"c"\nout %y`;

const close = (a: Tensor, b: Tensor, tolerance: number): void => {
  expect(b.dims).toEqual(a.dims);
  const [v, w] = [toNumbers(a), toNumbers(b)];
  v.forEach((e, i) => {
    expect(Math.abs(e - (w[i] as number))).toBeLessThan(tolerance);
  });
};
const conv = (g: Graph): Op => g.opsOf("conv")[0] as Op;
const align = (g: Graph, ...samples: Feeds[]) => runPasses(g, "align-input", { executor: observingExecutor, calibration: samplesOf(...samples) });

it("channels of different grids are mapped to 0..255, and the graph computes what it did, borders too", async () => {
  const g = graphOf(body("pads=[1,1,1,1]"));
  const before = g.clone();
  await align(g, image(1, torch), image(2, torch));
  const feeds = image(3, torch);
  close((await evaluateGraph(before, feeds))["y"] as Tensor, (await evaluateGraph(g, feeds))["y"] as Tensor, 1e-4);
  expect(conv(g).annotations["grid"]).toEqual({ scale: 1, zeroPoint: 0 });
  const name = conv(g).inputs[0]?.name as string;
  const steps = (await evaluateGraph(g, feeds, [name]))[name] as Tensor;
  // The inner part: pixels are whole numbers from 0 to 255. Around it stands what the padding with real zeros is.
  toNumbers(steps).forEach((v, i) => {
    const [row, column] = [Math.floor(i / 10) % 10, i % 10];
    if (row === 0 || row === 9 || column === 0 || column === 9) return;
    expect(Math.abs(v - Math.round(v))).toBeLessThan(1e-3);
    expect(v).toBeGreaterThan(-0.01);
    expect(v).toBeLessThan(255.01);
  });
});

it("channels of one grid are moved by the part of a step that a zero point cannot express", async () => {
  const g = graphOf(body("pads=[0,0,0,0]"));
  const before = g.clone();
  await align(g, image(1, tensorflow));
  expect(g.opsOf("mul", "pad")).toHaveLength(0);
  const { scale, zeroPoint } = conv(g).annotations["grid"] as { scale: number; zeroPoint: number };
  expect(scale).toBeCloseTo(1 / 127.5, 8);
  const feeds = image(3, tensorflow);
  close((await evaluateGraph(before, feeds))["y"] as Tensor, (await evaluateGraph(g, feeds))["y"] as Tensor, 1e-4);
  const name = conv(g).inputs[0]?.name as string;
  for (const v of toNumbers((await evaluateGraph(g, feeds, [name]))[name] as Tensor)) {
    const q = v / scale + zeroPoint;
    expect(Math.abs(q - Math.round(q))).toBeLessThan(1e-3);
  }
});

it("an aligned input is stored without error: quantization of the graph loses weights and result only", async () => {
  const errors: number[] = [];
  for (const aligned of [false, true]) {
    const g = graphOf(body("pads=[1,1,1,1]"));
    const before = g.clone();
    const calibration = samplesOf(image(1, torch), image(2, torch));
    await runPasses(g, `${aligned ? "align-input," : ""}annotate-int8{range: "minmax"},observe,materialize-qdq`, {
      executor: observingExecutor,
      calibration,
    });
    const name = conv(g).inputs[0]?.name as string;
    const feeds = image(1, torch);
    const x = toNumbers((await evaluateGraph(g, feeds, [name]))[name] as Tensor);
    const source = aligned ? conv(g).inputs[0]?.producer?.inputs[0]?.producer?.inputs[0]?.name : undefined;
    const want = source === undefined ? toNumbers(feeds["x"] as Tensor) : toNumbers((await evaluateGraph(g, feeds, [source]))[source] as Tensor);
    const inner = (i: number): boolean => !aligned || (![0, 9].includes(Math.floor(i / 10) % 10) && ![0, 9].includes(i % 10));
    errors.push(x.reduce((n, v, i) => (inner(i) ? Math.max(n, Math.abs(v - (want[i] as number))) : n), 0));
    expect(before.opsOf("conv")).toHaveLength(1);
  }
  expect(errors[0]).toBeGreaterThan(0.005);
  expect(errors[1]).toBeLessThan(1e-4);
});

it("values on no grid, and inputs that others read, are left alone", async () => {
  const random = randomFrom(5);
  const noise: Feeds = {
    x: fromNumbers(
      "f32",
      [1, 3, 8, 8],
      Array.from({ length: 192 }, () => random()),
    ),
  };
  const g = graphOf(body("pads=[1,1,1,1]"));
  const r = await align(g, noise);
  expect(g.opsOf("mul", "add", "pad")).toHaveLength(0);
  expect(r.decisions.map((d) => d.action)).toEqual(["input left alone"]);
  const two = graphOf(`${body("pads=[1,1,1,1]")}\n%z = relu %x\nout %z`);
  await align(two, image(1, torch));
  expect(two.opsOf("mul", "add", "pad")).toHaveLength(0);
});
