import { expect, it } from "vitest";
import { compareTensors, constantTensor, type Feeds, fromNumbers, type Graph, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { channelClasses } from "../../../../passes/quantize/channels.js";
import { activationFactors } from "../../../../passes/quantize/equalize-activations.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

const weights = (g: Graph, op: string): number[] => Array.from(toNumbers(constantTensor(g.ops.find((o) => o.name === op)?.inputs[1]) as Tensor));

/** The graph before and after gives the same on random operands. */
async function keepsValues(before: Graph, after: Graph): Promise<void> {
  for (const seed of [1, 2, 3]) {
    const feeds = randomFeeds(before, seed) as Feeds;
    const [a, b] = [await evaluateGraph(before, feeds), await evaluateGraph(after, feeds)];
    for (const n of Object.keys(a)) expect(compareTensors(a[n] as Tensor, b[n] as Tensor, "values")).toMatchObject({ same: true });
  }
}

it("two products through Relu: both ranges become the geometric mean, as the paper's closed form says", async () => {
  const g = graphOf(`in %x : f32[N, 2]
const %w1 : f32[2, 2] = dense [8, 0.1, -2, 0.05]
const %b1 : f32[2] = dense [1, 2]
%h = gemm %x, %w1, %b1 {activation="relu"} @"a"
const %w2 : f32[2, 1] = dense [0.5, 40]
%y = gemm %h, %w2 @"b"
out %y`);
  const before = g.clone();
  await runPasses(g, "equalize");
  // Channel 0: ranges 8 and 0.5, mean 2, factor 1/4. Channel 1: 0.1 and 40, mean 2, factor 20.
  const [a, b] = [weights(g, "a"), weights(g, "b")];
  [2, 2, -0.5, 1].forEach((v, i) => expect(a[i]).toBeCloseTo(v, 4));
  [2, 2].forEach((v, i) => expect(b[i]).toBeCloseTo(v, 4));
  await keepsValues(before, g);
});

const cases: Record<string, string> = {
  "depthwise, pool and Relu": `in %x : f32[N, 3, 8, 8]
const %w1 : f32[4, 3, 1, 1] = random(1)
%h = conv %x, %w1 {activation="relu"}
const %w2 : f32[4, 1, 3, 3] = random(2)
const %b2 : f32[4] = random(3)
%d = conv %h, %w2, %b2 {group=4, pads=[1,1,1,1], activation="relu"}
%p = max_pool %d {kernel_shape=[2,2], strides=[2,2]}
const %w3 : f32[5, 4, 1, 1] = random(4)
%y = conv %p, %w3
out %y`,
  "a residual add and a concatenation": `in %x : f32[N, 3, 4, 4]
const %w1 : f32[4, 3, 1, 1] = random(1)
%a = conv %x, %w1 {activation="relu"}
const %w2 : f32[4, 4, 1, 1] = random(2)
%b = conv %a, %w2
%s = add %a, %b {activation="relu"}
const %w3 : f32[2, 4, 1, 1] = random(3)
%c = conv %s, %w3
%j = concat %s, %c {axis=1}
const %w4 : f32[3, 6, 1, 1] = random(4)
%y = conv %j, %w4
out %y`,
  "a value that others read": `in %x : f32[N, 4]
const %w1 : f32[4, 4] = random(1)
%h = gemm %x, %w1
%t = tanh %h
const %w2 : f32[4, 2] = random(2)
%y = gemm %h, %w2
out %y
out %t`,
};
for (const [name, text] of Object.entries(cases)) {
  it(`keeps values: ${name}`, async () => {
    const g = graphOf(text);
    const before = g.clone();
    const r = await runPasses(g, "equalize");
    if (name.startsWith("a value")) expect(r.patches).toHaveLength(0);
    else expect(r.patches.length).toBeGreaterThan(1);
    await keepsValues(before, g);
  });
  it(`keeps values: ${name}, activations`, async () => {
    const g = graphOf(text);
    const before = g.clone();
    const samples = samplesOf(...[1, 2, 3, 4].map((seed) => randomFeeds(g, seed) as Feeds));
    const r = await runPasses(g, 'equalize{of: "activations"}', { executor: observingExecutor, calibration: samples });
    if (name.startsWith("a value")) expect(r.patches).toHaveLength(0);
    else expect(r.patches.length).toBeGreaterThan(1);
    await keepsValues(before, g);
  });
}

it("factors of activations are as good as the best of a grid", () => {
  const g = graphOf(`in %x : f32[N, 3]
const %w1 : f32[3, 3] = random(1)
%h = gemm %x, %w1 {activation="relu"} @"a"
const %w2 : f32[3, 2] = random(2)
%y = gemm %h, %w2 @"b"
out %y`);
  const [max, square] = [
    [8, 2, 0.25],
    [1, 0.5, 0.01],
  ];
  const h = { min: [0, 0, 0], max, mean: [0, 0, 0], meanSquare: square };
  const y = { min: [-1, -1], max: [1, 1], mean: [0, 0], meanSquare: [1, 1] };
  const classes = channelClasses(g);
  const v = g.value("h") as never;
  const limits = new Float64Array(classes.size).fill(Number.POSITIVE_INFINITY);
  const found = activationFactors(
    g,
    classes,
    limits,
    new Map([
      ["h", h],
      ["y", y],
    ]),
  );
  // The noise of the docstring, written anew, at factors f of the three channels.
  const w2 = toNumbers(constantTensor(g.ops.find((o) => o.name === "b")?.inputs[1]) as Tensor);
  const tops = [0, 1].map((o) => Math.max(...[0, 1, 2].map((i) => Math.abs(w2[i * 2 + o] as number))));
  const noise = (f: readonly number[]): number => {
    const reach = Math.max(...f.map((e, c) => e * (max[c] as number)));
    const rounding = f.reduce((a, e) => a + (reach / (255 * e)) ** 2 / 12, 0) / square.reduce((a, b) => a + b, 0);
    const weights = tops.reduce((a, top) => a + ((top / 127) ** 2 / 12 / 2) * f.reduce((s, e, c) => s + e * e * (square[c] as number), 0), 0);
    return rounding + 0.1 * weights;
  };
  let least = Number.POSITIVE_INFINITY;
  const grid = Array.from({ length: 60 }, (_, i) => 64 ** (i / 59));
  for (const a of grid) for (const b of grid) for (const c of grid) least = Math.min(least, noise([a, b, c]));
  const mine = [0, 1, 2].map((c) => found[classes.of(v, c)] as number);
  expect(noise(mine)).toBeLessThan(1.02 * least);
  expect(noise(mine)).toBeLessThan(0.6 * noise([1, 1, 1]));
});

it("through Relu6 only channels with room are scaled, and results stay", async () => {
  const g = graphOf(`in %x : f32[N, 2]
const %w1 : f32[2, 2] = dense [0.1, 9, 0.1, 9]
%h = gemm %x, %w1 {activation="clip", clip_min=0, clip_max=6} @"a"
const %w2 : f32[2, 1] = dense [10, 1]
%y = gemm %h, %w2 @"b"
out %y`);
  const before = g.clone();
  const sample = { x: fromNumbers("f32", [2, 2], [1, 1, 0.5, 2]) };
  await runPasses(g, "equalize", { executor: observingExecutor, calibration: samplesOf(sample) });
  const a = weights(g, "a");
  // Channel 0 has room: 0.25 was seen; its factor is sqrt(10 / 0.1) = 10. Channel 1 is clipped.
  expect(a[0]).toBeCloseTo(1, 5);
  expect(a[1]).toBe(9);
  const [y, z] = [(await evaluateGraph(before, sample))["y"], (await evaluateGraph(g, sample))["y"]];
  expect(compareTensors(y as Tensor, z as Tensor, "values")).toMatchObject({ same: true });
});

it("absorb-bias moves what is always there, and the graph computes what it did", async () => {
  const g = graphOf(`in %x : f32[N, 2]
const %w1 : f32[2, 2] = dense [0.1, 1, -0.1, 1]
const %b1 : f32[2] = dense [50, 0]
%h = gemm %x, %w1, %b1 {activation="relu"} @"a"
const %w2 : f32[2, 1] = dense [0.5, 2]
%y = gemm %h, %w2 @"b"
out %y`);
  const before = g.clone();
  const samples = [1, 2, 3, 4].map((s) => randomFeeds(g, s, 8, -1, 1) as Feeds);
  await runPasses(g, "absorb-bias", { executor: observingExecutor, calibration: samplesOf(...samples) });
  const bias = toNumbers(constantTensor(g.ops.find((o) => o.name === "a")?.inputs[2]) as Tensor);
  expect(bias[0]).toBeLessThan(1);
  expect(bias[0]).toBeGreaterThan(0);
  expect(bias[1]).toBe(0);
  for (const f of samples) {
    const [y, z] = [(await evaluateGraph(before, f))["y"] as Tensor, (await evaluateGraph(g, f))["y"] as Tensor];
    toNumbers(y).forEach((v, i) => expect(toNumbers(z)[i]).toBeCloseTo(v, 3));
  }
});

it("smooth-quant: scales are those of the paper's formula, values stay", async () => {
  const g = graphOf(`in %x : f32[N, 3, 4]
const %g : f32[4] = dense [1, 20, 1, 0.5]
const %b : f32[4] = dense [0, 0, 0.5, 0]
%n = layer_normalization %x, %g, %b @"norm"
const %w1 : f32[4, 4] = random(1)
%q = matmul %n, %w1 @"q"
const %w2 : f32[4, 4] = random(2)
%k = matmul %n, %w2 @"k"
out %q
out %k`);
  const before = g.clone();
  const samples = [1, 2].map((s) => randomFeeds(g, s) as Feeds);
  await runPasses(g, "smooth-quant{strength: 0.5}", { executor: observingExecutor, calibration: samplesOf(...samples) });
  await keepsValues(before, g);
  const gain = toNumbers(constantTensor(g.ops.find((o) => o.name === "norm")?.inputs[1]) as Tensor);
  const old = [1, 20, 1, 0.5];
  const [w1, w2] = [weights(before, "q"), weights(before, "k")];
  let top = [0, 0, 0, 0];
  for (const f of samples) {
    const n = toNumbers((await evaluateGraph(before, f, ["n"]))["n"] as Tensor);
    top = top.map((t, j) => n.reduce((m, v, i) => (i % 4 === j ? Math.max(m, Math.abs(v)) : m), t));
  }
  top.forEach((x, j) => {
    const w = Math.max(...[0, 1, 2, 3].flatMap((o) => [Math.abs(w1[j * 4 + o] as number), Math.abs(w2[j * 4 + o] as number)]));
    expect((gain[j] as number) * Math.sqrt(x / w)).toBeCloseTo(old[j] as number, 4);
  });
});
