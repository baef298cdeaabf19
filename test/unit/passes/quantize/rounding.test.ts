/** Learned rounding as a pass: columns, placement of integers, bounds, refusals. */
import { expect, it } from "vitest";
import {
  blobOf,
  type CecError,
  constantTensor,
  type Executor,
  type Feeds,
  f32,
  fromNumbers,
  type Graph,
  type MomentsJob,
  type Op,
  printGraph,
  randomFrom,
  type Tensor,
  tensorType,
  toNumbers,
  type Value,
} from "../../../../compiler/core/index.js";
import { type Layer, layerOf } from "../../../../passes/quantize/rounding/layers.js";
import { collectMoments, pickRows } from "../../../../passes/quantize/rounding/moments.js";
import { type FixedSpec, type OpSpec, readSpec } from "../../../../passes/quantize/spec.js";
import { storedWeights } from "../../../../passes/quantize/weights.js";
import { roundingKernels } from "../../../../runtime-native/ts/index.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

const executor: Executor = { ...observingExecutor, rounding: roundingKernels(1) };

/** Each kind of layer: its text with `W` for the type of its weights, their shape, groups, and inputs of one column. */
const layers: readonly (readonly [name: string, text: string, dims: readonly number[], groups: number, depth: number])[] = [
  ["conv, padded, strided", 'in %x : f32[2, 4, 7, 6]\nW\n%y = conv %x, %w {pads=[1,0,1,2], strides=[2,1]} @"op"', [5, 4, 3, 3], 1, 36],
  ["conv, dilated", 'in %x : f32[2, 4, 7, 7]\nW\n%y = conv %x, %w {dilations=[2,2]} @"op"', [5, 4, 2, 3], 1, 24],
  ["conv, SAME_UPPER", 'in %x : f32[2, 3, 7, 5]\nW\n%y = conv %x, %w {auto_pad="SAME_UPPER", strides=[2,2]} @"op"', [4, 3, 3, 3], 1, 27],
  ["conv in groups", 'in %x : f32[2, 4, 6, 6]\nW\n%y = conv %x, %w {group=2} @"op"', [6, 2, 3, 3], 2, 18],
  ["depthwise conv", 'in %x : f32[2, 6, 6, 6]\nW\n%y = conv %x, %w {group=6, pads=[1,1,1,1]} @"op"', [6, 1, 3, 3], 6, 9],
  ["conv of one axis", 'in %x : f32[2, 6, 9]\nW\n%y = conv %x, %w {pads=[2,1], strides=[2]} @"op"', [3, 6, 3], 1, 18],
  ["gemm", 'in %x : f32[3, 20]\nW\n%y = gemm %x, %w @"op"', [20, 4], 1, 20],
  ["gemm transposed", 'in %x : f32[3, 20]\nW\n%y = gemm %x, %w {transB=1} @"op"', [4, 20], 1, 20],
  ["matmul", 'in %x : f32[2, 5, 18]\nW\n%y = matmul %x, %w @"op"', [18, 3], 1, 18],
];
const withWeights = (text: string, dims: readonly number[]): string =>
  `${text.replace("W\n", `const %w : f32[${dims.join(", ")}] = random(3)\n`)}\nout %y`;
/** The layer's result for weights that are given as an input. */
const resultOf = async (text: string, x: Feeds, w: Tensor): Promise<Tensor> =>
  (await evaluateGraph(graphOf(`${text.replace("W\n", `in %w : f32[${w.dims.join(", ")}]\n`)}\nout %y`), { ...x, w }))["y"] as Tensor;
const opNamed = (g: Graph, name = "op"): Op => g.ops.find((op) => op.name === name) as Op;

async function annotated(graph: Graph, feeds: readonly Feeds[], options = ""): Promise<Graph> {
  await runPasses(graph, `annotate-int8 {range: "minmax"${options}}, observe`, { executor, calibration: samplesOf(...feeds) });
  return graph;
}
const round = (graph: Graph, feeds: readonly Feeds[], options = "", by = executor) =>
  runPasses(graph, `round-weights {${options}}`, { executor: by, calibration: samplesOf(...feeds) });
const edgeOf = (g: Graph, name = "op"): FixedSpec => (readSpec(opNamed(g, name)) as OpSpec).inputs[1] as FixedSpec;
const integersOf = (g: Graph, name = "op"): number[] => [
  ...toNumbers(constantTensor(g.value(edgeOf(g, name).integers as string) as Value) as Tensor),
];
const codeOf = (run: Promise<unknown>): Promise<string | undefined> =>
  run.then(
    () => undefined,
    (e) => (e as CecError).diagnostics?.[0]?.code ?? String(e),
  );

for (const [name, text, dims, groups, depth] of layers) {
  it(`${name}: second moments are those of a naive loop over columns that the op itself picks`, async () => {
    const graph = graphOf(withWeights(text, dims));
    const feeds = [1, 2].map((s) => randomFeeds(graph, s) as Feeds);
    await annotated(graph, feeds);
    const layer = layerOf(opNamed(graph), 2 ** 26) as Layer;
    expect([layer.groups, layer.depth]).toEqual([groups, depth]);
    const moments = await collectMoments(graph, [layer], executor, roundingKernels(2), samplesOf(...feeds), {
      batch: 2,
      samples: 4,
      rows: 2 ** 20,
      seed: 1,
      ran: () => {},
    });
    const got = [...moments.values()][0];
    // With a weight of 1 for one input and 0 for the rest, an output channel is that input of each column.
    const conv = text.includes("conv");
    const byRow = conv || text.includes("transB");
    const [n, k] = [groups * depth, depth];
    const picking = new Float32Array(n * k);
    for (let o = 0; o < n; o++) picking[byRow ? o * k + (o % k) : (o % k) * n + o] = 1;
    const shape = conv ? [n, ...dims.slice(1)] : byRow ? [n, k] : [k, n];
    const columns: number[][] = [];
    for (const f of feeds) {
      const y = await resultOf(text, f, f32(shape, picking));
      const values = toNumbers(y);
      const area = conv ? y.dims.slice(2).reduce((a, b) => a * b, 1) : 1;
      const rows = y.data.length / n;
      for (let r = 0; r < rows; r++)
        columns.push(Array.from({ length: n }, (_, o) => values[conv ? (Math.floor(r / area) * n + o) * area + (r % area) : r * n + o] as number));
    }
    expect(got?.rows).toBe(columns.length);
    for (let g = 0; g < groups; g++)
      for (let i = 0; i < depth; i++) {
        expect(got?.sums[g * depth + i]).toBeCloseTo(
          columns.reduce((s, c) => s + (c[g * depth + i] as number), 0),
          4,
        );
        for (let j = 0; j < depth; j++)
          expect(got?.moments[(g * depth + i) * depth + j]).toBeCloseTo(
            columns.reduce((s, c) => s + (c[g * depth + i] as number) * (c[g * depth + j] as number), 0),
            3,
          );
      }
  });

  it(`${name}: the result of the layer is nearer to the float one than with nearest integers, by either method`, async () => {
    const error = async (method: string): Promise<number> => {
      const graph = graphOf(withWeights(text, dims));
      const float = constantTensor(opNamed(graph).inputs[1]) as Tensor;
      const feeds = [1, 2, 3, 4].map((s) => randomFeeds(graph, s, 2, 0, 2) as Feeds);
      await annotated(graph, feeds, ", weight_bits: 4, ends_bits: 4");
      if (method !== "nearest") await round(graph, feeds, `method: "${method}"`);
      await runPasses(graph, "validate-quantization, materialize-qdq", {});
      // Only the weights: activations stay float.
      const dq = opNamed(graph).inputs[1]?.producer as Op;
      // Weights of 4 bits are stored as i4, with a Cast behind them.
      const [q, s] = [constantTensor(dq.inputs[0]?.producer?.inputs[0]) as Tensor, toNumbers(constantTensor(dq.inputs[1]) as Tensor)];
      const axis = Number(dq.attrs["axis"] ?? 0);
      const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
      const stored = toNumbers(q);
      expect(stored.every((v) => Math.abs(v) <= 7)).toBe(true);
      const w = Float32Array.from(stored, (v, i) => v * (s[Math.floor(i / inner) % (dims[axis] as number)] as number));
      let sum = 0;
      for (const f of feeds) {
        const [a, b] = [toNumbers(await resultOf(text, f, float)), toNumbers(await resultOf(text, f, f32(dims, w)))];
        a.forEach((v, i) => {
          sum += (v - (b[i] as number)) ** 2;
        });
      }
      return sum;
    };
    const nearest = await error("nearest");
    expect(await error("gptq")).toBeLessThan(0.8 * nearest);
    expect(await error("adaround")).toBeLessThan(0.8 * nearest);
  });
}

const two = `in %x : f32[2, 8, 6, 6]
const %w1 : f32[8, 8, 3, 3] = random(1)
const %b1 : f32[8] = random(2)
const %w2 : f32[8, 8, 3, 3] = random(3)
%c = conv %x, %w1, %b1 {pads=[1,1,1,1]} @"first"
%r = relu %c
%y = conv %r, %w2 {pads=[1,1,1,1]} @"second"
out %y`;

it("quantize with rounding stores the learned integers, and leaves nothing of the annotation behind", async () => {
  const feeds = [1, 2, 3].map((s) => randomFeeds(graphOf(two), s) as Feeds);
  const graph = await annotated(graphOf(two), feeds);
  await round(graph, feeds, 'method: "gptq"');
  const whole = graphOf(two);
  const r = await runPasses(whole, 'quantize {range: "minmax", rounding: "gptq"}', { executor, calibration: samplesOf(...feeds) });
  expect(r.passes.find((p) => p.name === "round-weights")?.statistics["layers"]).toBe(2);
  expect(r.decisions.filter((d) => d.action === "rounded by gptq").every((d) => (d.figure as number) < 1)).toBe(true);
  for (const name of ["first", "second"]) {
    const q = constantTensor(opNamed(whole, name).inputs[1]?.producer?.inputs[0]) as Tensor;
    expect([...toNumbers(q)]).toEqual(integersOf(graph, name));
  }
  expect(printGraph(whole)).not.toContain(".rounded");
  // 8-bit integers stay near: a step or two from the weight.
  const nearest = graphOf(two);
  await runPasses(nearest, 'quantize {range: "minmax"}', { executor, calibration: samplesOf(...feeds) });
  const [a, b] = [whole, nearest].map((g) => toNumbers(constantTensor(opNamed(g, "second").inputs[1]?.producer?.inputs[0]) as Tensor));
  expect(a).not.toEqual(b);
  a?.forEach((v, i) => expect(Math.abs(v - (b?.[i] as number))).toBeLessThanOrEqual(4));
});

it("two runs, and any number of threads, give the same bytes", async () => {
  const feeds = [1, 2, 3].map((s) => randomFeeds(graphOf(two), s) as Feeds);
  const texts: string[] = [];
  for (const threads of [1, 1, 3])
    for (const method of ["adaround", "gptq"]) {
      const graph = graphOf(two);
      const by: Executor = { ...executor, rounding: roundingKernels(threads) };
      await runPasses(graph, `quantize {rounding: "${method}", learning: {rows: 40, iterations: 50}}`, {
        executor: by,
        calibration: samplesOf(...feeds),
      });
      texts.push(printGraph(graph));
    }
  expect(texts[2]).toBe(texts[0]);
  expect(texts[4]).toBe(texts[0]);
  expect(texts[3]).toBe(texts[1]);
  expect(texts[5]).toBe(texts[1]);
  expect(texts[0]).not.toBe(texts[1]);
});

/** Sixteen layers of 144 inputs: 167 kB of moments each. */
const deep = [
  "in %x0 : f32[1, 16, 5, 5]",
  ...Array.from(
    { length: 16 },
    (_, i) => `const %w${i} : f32[16, 16, 3, 3] = random(${i})\n%c${i} = conv %x${i}, %w${i} {pads=[1,1,1,1]} @"c${i}"\n%x${i + 1} = relu %c${i}`,
  ),
  "out %x16",
].join("\n");

it("what is held at a time stays within `memory`, which changes nothing else", async () => {
  const feeds = [1, 2].map((s) => randomFeeds(graphOf(deep), s, 1, 0, 1) as Feeds);
  const found: number[][] = [];
  for (const memory of [1, 64]) {
    let most = 0;
    const by: Executor = {
      ...executor,
      rounding: {
        ...roundingKernels(1),
        addMoments(jobs: readonly MomentsJob[]) {
          most = Math.max(
            most,
            jobs.reduce((n, j) => n + j.moments.byteLength + j.sums.byteLength + j.x.byteLength, 0),
          );
          return roundingKernels(1).addMoments(jobs);
        },
      },
    };
    const graph = await annotated(graphOf(deep), feeds);
    const r = await round(graph, feeds, `memory: ${memory}, rows: 16`, by);
    expect(most).toBeLessThanOrEqual(memory * 2 ** 20);
    expect(r.passes[0]?.statistics["runs"]).toBe(memory === 1 ? 4 : 1);
    found.push(Array.from({ length: 16 }, (_, i) => integersOf(graph, `c${i}`)).flat());
  }
  expect(found[0]).toEqual(found[1]);
});

it("a layer whose moments exceed the memory is handled in blocks of inputs", async () => {
  const text = `in %x : f32[4, 600]\nconst %w : f32[600, 8] = random(1)\n%y = matmul %x, %w @"op"\nout %y`;
  const feeds = [1, 2].map((s) => randomFeeds(graphOf(text), s, 1, 0, 1) as Feeds);
  const graph = await annotated(graphOf(text), feeds);
  const r = await round(graph, feeds, "memory: 1");
  expect(layerOf(opNamed(graphOf(text)), 1)).toBe(null);
  expect(r.decisions.find((d) => d.op === "op")?.reason).toContain("in 3 blocks of input channels");
  expect(r.decisions.find((d) => d.op === "op")?.figure).toBeLessThan(1);
});

it("weights of inputs that are always zero are the nearest, and so are those of layers that see only zeros", async () => {
  const text = `in %x : f32[8, 20]\nconst %w : f32[20, 6] = random(1)\n%y = matmul %x, %w @"op"\nout %y`;
  const feed = (live: number): Feeds => {
    const random = randomFrom(live);
    return {
      x: f32(
        [8, 20],
        Array.from({ length: 160 }, (_, i) => (i % 20 < live ? random() : 0)),
      ),
    };
  };
  for (const live of [15, 0])
    for (const method of ["adaround", "gptq"]) {
      const graph = await annotated(graphOf(text), [feed(live)]);
      await round(graph, [feed(live)], `method: "${method}"`);
      const w = toNumbers(constantTensor(opNamed(graph).inputs[1]) as Tensor);
      const { scale } = edgeOf(graph);
      integersOf(graph).forEach((q, i) => {
        if (Math.floor(i / 6) >= live) expect(Math.abs(q - (w[i] as number) / (scale[i % 6] as number))).toBeLessThanOrEqual(0.5);
      });
    }
});

it("one sample of one row moves no weight far from its value", async () => {
  const text = `in %x : f32[1, 64]\nconst %w : f32[64, 6] = random(1)\n%y = matmul %x, %w @"op"\nout %y`;
  const feeds = [randomFeeds(graphOf(text), 1, 1, 0, 1) as Feeds];
  const graph = await annotated(graphOf(text), feeds);
  await round(graph, feeds);
  const w = toNumbers(constantTensor(opNamed(graph).inputs[1]) as Tensor);
  const { scale } = edgeOf(graph);
  integersOf(graph).forEach((q, i) => expect(Math.abs(q - (w[i] as number) / (scale[i % 6] as number))).toBeLessThan(1.01));
});

it("a bias that needs wider scales gets them before integers are chosen", async () => {
  const text = `in %x : f32[4, 8]\nconst %w : f32[8, 2] = splat(0.000001)\nconst %b : f32[2] = splat(100000)\n%y = gemm %x, %w, %b @"op"\nout %y`;
  const feeds = [randomFeeds(graphOf(text), 1) as Feeds];
  const graph = await annotated(graphOf(text), feeds);
  const before = edgeOf(graph).scale;
  const r = await round(graph, feeds);
  const after = edgeOf(graph).scale;
  expect(r.passes[0]?.statistics["widened"]).toBe(2);
  expect(after[0]).toBeGreaterThan(before[0] as number);
  const done = await runPasses(graph, "validate-quantization, materialize-qdq", {});
  expect(done.passes[1]?.statistics["widened"]).toBe(0);
});

it("rows are picked in order, without repetition, one from each of equal runs", () => {
  const random = randomFrom(1);
  expect([...pickRows(5, 9, random)]).toEqual([0, 1, 2, 3, 4]);
  const rows = pickRows(1000, 100, random);
  rows.forEach((r, i) => expect(Math.floor(r / 10)).toBe(i));
});

it("transposed convolutions, 3-D ones and computed weights keep the nearest integers, with the reason", async () => {
  const text = `in %x : f32[1, 4, 3, 3]\nconst %w : f32[4, 3, 2, 2] = random(1)\n%y = conv_transpose %x, %w @"op"\nout %y`;
  const feeds = [randomFeeds(graphOf(text), 1) as Feeds];
  const r = await round(await annotated(graphOf(text), feeds), feeds);
  expect(r.passes[0]?.statistics["nearest"]).toBe(1);
  expect(r.decisions.find((d) => d.op === "op")?.reason).toBe("transposed convolutions are rounded to nearest");
});

it("NaN in an input, no data, no samples, no kernels and foreign integers are refused", async () => {
  const text = `in %x : f32[2, 20]\nconst %w : f32[20, 4] = random(1)\n%y = matmul %x, %w @"op"\nout %y`;
  const good = [randomFeeds(graphOf(text), 1) as Feeds];
  const bad: Feeds = {
    x: f32(
      [2, 20],
      Array.from({ length: 40 }, (_, i) => (i === 7 ? Number.NaN : i === 9 ? Number.POSITIVE_INFINITY : 1)),
    ),
  };
  expect(await codeOf(round(await annotated(graphOf(text), good), [...good, bad]))).toBe("CEC4007");
  expect(await codeOf(runPasses(await annotated(graphOf(text), good), "round-weights", { executor }))).toBe("CEC4006");
  expect(await codeOf(round(await annotated(graphOf(text), good), []))).toBe("CEC4006");
  expect(await codeOf(round(await annotated(graphOf(text), good), good, "", observingExecutor))).toBe("CEC6009");
  for (const integers of [fromNumbers("i8", [4, 20], new Array(80).fill(0)), fromNumbers("i8", [20, 4], new Array(80).fill(-128))]) {
    const graph = await annotated(graphOf(text), good);
    await round(graph, good);
    const op = opNamed(graph);
    const spec = edgeOf(graph);
    const other = graph.addConstant("other", tensorType("i8", integers.dims), blobOf(integers), op);
    op.annotations = {
      quant: JSON.parse(
        JSON.stringify({
          ...readSpec(op),
          inputs: [readSpec(op)?.inputs[0], { ...spec, integers: other.name }, ...(readSpec(op)?.inputs.slice(2) ?? [])],
        }),
      ),
    };
    expect(await codeOf(runPasses(graph, "validate-quantization", {}))).toBe("CEC4008");
  }
});

it("integers whose scale was changed afterwards are the nearest at the new scale", () => {
  const graph = graphOf('in %x : f32[1, 2]\nconst %w : f32[2, 2] = dense [1, 2, 3, 4]\n%y = matmul %x, %w @"op"\nout %y');
  const op = opNamed(graph);
  const chosen = graph.addConstant("chosen", tensorType("i8", [2, 2]), blobOf(fromNumbers("i8", [2, 2], [9, 9, 9, 9])), op);
  const edge: FixedSpec = { kind: "fixed", type: "i8", scale: [1, 1], zeroPoint: [0, 0], axis: 1, integers: chosen.name };
  const w = constantTensor(op.inputs[1]) as Tensor;
  expect([...toNumbers(storedWeights(graph, w, edge))]).toEqual([9, 9, 9, 9]);
  expect([...toNumbers(storedWeights(graph, w, edge, [1, 2]))]).toEqual([9, 1, 9, 2]);
});

it("bits of weights can be set for one op", async () => {
  const feeds = [randomFeeds(graphOf(two), 1) as Feeds];
  const graph = await annotated(graphOf(two), feeds, ', overrides: {"second": {weight_bits: 3}}');
  await round(graph, feeds);
  expect(edgeOf(graph, "first").bits).toBe(undefined);
  expect(Math.max(...integersOf(graph, "first").map(Math.abs))).toBeGreaterThan(100);
  expect(new Set(integersOf(graph, "second"))).toEqual(new Set([-3, -2, -1, 0, 1, 2, 3]));
});
