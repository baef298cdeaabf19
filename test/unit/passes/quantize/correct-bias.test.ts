import { expect, it } from "vitest";
import { constantTensor, type Feeds, type Graph, type Op, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

const net = `in %x : f32[N, 6]
const %w1 : f32[6, 8] = random(1)
const %b1 : f32[8] = random(2)
%h = gemm %x, %w1, %b1 {activation="relu"} @"first"
const %w2 : f32[8, 4] = random(3)
%y = gemm %h, %w2 @"second"
out %y`;
const samples: readonly Feeds[] = [1, 2, 3, 4].map((s) => randomFeeds(graphOf(net), s, 8, 0, 2) as Feeds);
const mean = async (g: Graph, name: string): Promise<number[]> => {
  const sums: number[] = [];
  let rows = 0;
  for (const f of samples) {
    const t = (await evaluateGraph(g, f, [name]))[name] as Tensor;
    const width = t.dims[1] as number;
    rows += t.dims[0] as number;
    toNumbers(t).forEach((v, i) => {
      sums[i % width] = (sums[i % width] ?? 0) + v;
    });
  }
  return sums.map((s) => s / rows);
};
const run = (g: Graph, passes: string) => runPasses(g, passes, { executor: observingExecutor, calibration: samplesOf(...samples) });
/** Three bits: an error that shows. */
const prepare = 'annotate-int8{weight_bits: 3, ends_bits: 3, range: "minmax"},observe';

it("fast: the bias takes back (Wq - W) E[x], as computed by hand", async () => {
  const g = graphOf(net);
  const plain = g.clone();
  await run(g, prepare);
  const spec = (g.ops.find((op) => op.name === "second") as Op).annotations["quant"] as { inputs: { scale: number[] }[] };
  const scale = spec.inputs[1]?.scale as number[];
  await run(g, 'correct-bias{method: "fast"}');
  const h = await mean(plain, "h");
  const w = toNumbers(constantTensor(plain.value("w2")) as Tensor);
  const bias = toNumbers(constantTensor((g.ops.find((op) => op.name === "second") as Op).inputs[2]) as Tensor);
  for (let o = 0; o < 4; o++) {
    let want = 0;
    for (let i = 0; i < 8; i++) {
      const s = scale[o] as number;
      const q = Math.max(-3, Math.min(3, Math.round((w[i * 4 + o] as number) / s))) * s;
      want -= (q - (w[i * 4 + o] as number)) * (h[i] as number);
    }
    expect(bias[o]).toBeCloseTo(want, 5);
  }
});

for (const method of ["fast", "full"]) {
  it(`${method}: the means of the quantized graph's results come near those of the float graph`, async () => {
    const shifts: number[] = [];
    const source = graphOf(net);
    const want = await mean(source, "y");
    for (const correct of ["", `,correct-bias{method: "${method}", rounds: 3}`]) {
      const g = graphOf(net);
      await run(g, `${prepare}${correct},materialize-qdq`);
      const got = await mean(g, "y");
      shifts.push(Math.max(...want.map((v, i) => Math.abs(v - (got[i] as number)))));
    }
    expect(shifts[0]).toBeGreaterThan(0.02);
    expect((shifts[1] as number) / (shifts[0] as number)).toBeLessThan(method === "full" ? 0.15 : 0.5);
  });
}

it("without an engine nothing is changed", async () => {
  const g = graphOf(net);
  await run(g, prepare);
  const before = g.ops.length;
  await runPasses(g, "correct-bias");
  expect(g.ops).toHaveLength(before);
});
