/** Finding the layers of one model in another: by name and by place, through folded BatchNorm and absorbed Relu. */
import { expect, it } from "vitest";
import {
  f32,
  type Graph,
  type PassDefinition,
  parseIrFile,
  randomFrom,
  runPipeline,
  type Tensor,
  toNumbers,
} from "../../../../compiler/core/index.js";
import { pairModels } from "../../../../compiler/driver/analyze/layers.js";
import { matchGraphs } from "../../../../compiler/driver/analyze/match.js";
import { dequantize, stripQuantizers } from "../../../../compiler/driver/analyze/strip.js";
import { localVariant, quantizedVariant } from "../../../../compiler/driver/analyze/variants.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { cleanForEngine } from "../../../../compiler/driver/prepare.js";
import { findPass } from "../../../../passes/index.js";

const graphOf = (body: string): Graph => parseIrFile(`cir 1\ngraph @g level=float {\n${body}\n}`, { infer: true }).graph;

function near(a: Tensor | undefined, b: Tensor | undefined, digits: number): void {
  const [x, y] = [a, b].map((t) => (t === undefined ? [] : Array.from(toNumbers(t)))) as [number[], number[]];
  expect(x.length).toBeGreaterThan(0);
  expect(x.length).toBe(y.length);
  x.forEach((v, i) => expect(v).toBeCloseTo(y[i] as number, digits));
}

const source = `in %x : f32[N, 2, 4, 4]
const %w : f32[3, 2, 3, 3] = random(1)
const %s : f32[3] = dense [1, 2, 0.5]
const %b : f32[3] = dense [0, 0.1, 0.2]
const %m : f32[3] = dense [0.1, 0, -0.1]
const %v : f32[3] = dense [1, 4, 0.25]
%c = conv %x, %w {pads=[1,1,1,1]} @"c"
%n = batch_normalization %c, %s, %b, %m, %v @"n"
%r = relu %n @"r"
const %w2 : f32[2, 3, 1, 1] = random(2)
%d = conv %r, %w2 @"d"
out %d`;

/** What a tool makes that folds BatchNorm, takes the Relu out, and names everything its own way. */
async function foreign(): Promise<Graph> {
  const { source: folded } = await pairModels(graphOf(source), await cleanForEngine(graphOf(source)));
  const conv = folded.ops.find((op) => op.kind === "conv");
  const text = `in %input : f32[N, 2, 4, 4]
const %sx : f32[] = dense [0.05]
const %zx : u8[] = dense [128]
%q = quantize_linear %input, %sx, %zx
%dq = dequantize_linear %q, %sx, %zx
const %w : f32[3, 2, 3, 3] = random(1)
const %bias : f32[3] = dense [0, 0, 0]
%k = conv %dq, %w, %bias {pads=[1,1,1,1]} @"node_0"
const %sr : f32[] = dense [0.04]
const %zr : u8[] = dense [0]
%kq = quantize_linear %k, %sr, %zr
%kdq = dequantize_linear %kq, %sr, %zr
const %w2 : f32[2, 3, 1, 1] = random(2)
%e = conv %kdq, %w2 @"node_1"
out %e`;
  const g = graphOf(text);
  const c = g.opsOf("conv")[0];
  // The folded weights and bias of the source.
  for (const i of [1, 2])
    if (c !== undefined && conv?.inputs[i]?.producer?.data !== undefined)
      g.setInput(c, i, g.addConstant(`f${i}`, (conv.inputs[i] as { type: Graph["inputs"][number]["type"] }).type, conv.inputs[i].producer.data, c));
  return g;
}

it("matches by place through folded BatchNorm and a Relu that the quantizer absorbs", async () => {
  const pair = await pairModels(graphOf(source), await foreign());
  expect(pair.unmatched).toEqual([]);
  expect(pair.layers.map((l) => [l.name, l.compressed.name, l.tap])).toEqual([
    ["c", "node_0", "kdq"],
    ["d", "node_1", "e"],
  ]);
  expect(pair.layers[0]?.inputs[0]).toMatchObject({ value: "input", scale: [expect.closeTo(0.05, 6)], zeroPoint: [128] });
  expect(pair.layers[0]?.output?.low).toBe(0);
  expect([...pair.quantizers.keys()]).toEqual(["x", "r"]);
});

it("a Relu that is gone without a quantizer from zero up is told", async () => {
  const g = await foreign();
  const k = g.value("k");
  const dq = g.value("kdq");
  if (k === undefined || dq === undefined) throw new Error("no such value");
  g.replaceAllUses(dq, k);
  const [first] = (await pairModels(graphOf(source), await cleanForEngine(g))).layers;
  expect(first).toMatchObject({ tap: null, untapped: "its activation has no counterpart in the compressed model" });
});

it("names what has no counterpart, on both sides, with the reason", () => {
  const a = graphOf('in %x : f32[N, 4]\nconst %w : f32[4, 3] = random(1)\n%y = matmul %x, %w @"fc"\n%z = tanh %y @"t"\nout %z');
  const b = graphOf('in %x : f32[N, 4]\nconst %w : f32[4, 2] = random(1)\n%y = matmul %x, %w @"fc"\n%z = sigmoid %y @"s"\nout %z');
  const { ops, unmatched } = matchGraphs(a, b);
  expect(ops.size).toBe(0);
  expect(unmatched.map((u) => [u.side, u.op, u.reason])).toEqual([
    ["compressed", "fc", "its weights are [4, 2], those of the source [4, 3]"],
    ["compressed", "s", "what it reads has no counterpart in the source"],
    ["source", "fc", "no op of the compressed model has its name or its place"],
    ["source", "t", "no op of the compressed model has its name or its place"],
  ]);
});

it("several ops that read one value are told apart by their weights", () => {
  const body = (first: number, second: number): string =>
    `in %x : f32[N, 4]\nconst %a : f32[4, 3] = random(${first})\nconst %b : f32[4, 3] = random(${second})\n%p = matmul %x, %a\n%q = matmul %x, %b\n%y = sub %p, %q\nout %y`;
  const [a, b] = [graphOf(body(1, 2)), graphOf(body(2, 1).replaceAll("%p", "%other").replaceAll("%q", "%names"))];
  const pairs = [...matchGraphs(a, b).ops].filter(([s]) => s.kind === "matmul").map(([s, c]) => [s.outputs[0]?.name, c.outputs[0]?.name]);
  expect(pairs).toEqual([
    ["q", "other"],
    ["p", "names"],
  ]);
});

it("stored weights stand for their reals, per axis and with zero points", () => {
  const data = { type: "i8", dims: [2, 3], data: Int8Array.of(1, -2, 3, 4, 5, -6) } as const;
  const r = dequantize({ data, scale: [0.5, 2], zeroPoint: [1, -1], axis: 0 });
  expect([...(r.data as Float32Array)]).toEqual([0, -1.5, 1, 10, 12, -10]);
  expect([...(dequantize({ data, scale: [2], zeroPoint: [0], axis: null }).data as Float32Array)]).toEqual([2, -4, 6, 8, 10, -12]);
});

it("the source with every layer quantized gives the compressed model's bytes, and one layer alone its own result", async () => {
  const compressed = await foreign();
  const pair = await pairModels(graphOf(source), compressed);
  const executor = nativeExecutor();
  const x = { type: "f32", dims: [2, 2, 4, 4], data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)) } as const;
  const run = async (g: Graph, input: string, keep: readonly string[] = []) => {
    const session = await executor.prepare(g, { keep });
    const out = await session.run({ [input]: x });
    session.dispose();
    return out;
  };
  const wanted = await run(compressed, "input", ["kdq"]);
  const whole = await run(quantizedVariant(pair.source, pair.layers), "x");
  expect(whole["d"]?.data).toEqual(wanted["e"]?.data);
  const { graph, results } = localVariant(pair.source, pair.layers);
  const alone = await run(graph, "x");
  const [first] = pair.layers;
  // The first layer reads the input: alone and accumulated are the same.
  if (first === undefined) throw new Error("no layer");
  expect(alone[results.get(first) as string]?.data).toEqual(wanted["kdq"]?.data);
});

it("stripping leaves the compressed model as it was", async () => {
  const g = await foreign();
  const before = g.ops.length;
  const { graph, quantizers } = stripQuantizers(g);
  expect(g.ops.length).toBe(before);
  expect(graph.opsOf("quantize_linear", "dequantize_linear")).toEqual([]);
  expect([...quantizers.keys()]).toEqual(["input", "k"]);
});

it("an equalized model is compared with the source scaled alike, and what the source computes stays", async () => {
  const conv = (k: number): string => `in %x : f32[N, 2, 4, 4]
const %w : f32[2, 2, 1, 1] = dense [0.5, 1, ${-2 * k}, ${0.25 * k}]
const %b : f32[2] = dense [0.1, ${0.2 * k}]
%c = conv %x, %w, %b @"c"
%r = relu %c @"r"
%p = max_pool %r {kernel_shape=[2,2], strides=[2,2]} @"p"
const %v : f32[2, 2, 1, 1] = dense [1, ${0.5 / k}, -1, ${2 / k}]
%d = conv %p, %v @"d"
out %d`;
  const pair = await pairModels(graphOf(conv(1)), await cleanForEngine(graphOf(conv(16))));
  expect(pair.equalized).toEqual(["c"]);
  const x = { type: "f32", dims: [1, 2, 4, 4], data: Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)) } as const;
  const run = async (g: Graph) => {
    const session = await nativeExecutor().prepare(g, { keep: ["r"] });
    const out = await session.run({ x });
    session.dispose();
    return out;
  };
  const [scaled, compressed, before] = [await run(pair.source), await run(pair.compressed), await run(graphOf(conv(1)))];
  near(scaled["r"], compressed["r"], 4);
  near(scaled["d"], before["d"], 4);
});

it("weights that were retrained are no equalization", async () => {
  const body = (seed: number): string =>
    `in %x : f32[N, 2, 4, 4]\nconst %w : f32[2, 2, 3, 3] = random(${seed})\n%c = conv %x, %w @"c"\nconst %v : f32[2, 2, 1, 1] = random(3)\n%d = conv %c, %v @"d"\nout %d`;
  expect((await pairModels(graphOf(body(1)), await cleanForEngine(graphOf(body(2))))).equalized).toEqual([]);
});

it.each([
  ["each channel on its own grid, padded", "{pads=[1,1,1,1], kernel_shape=[3,3]}", [0.02, 0.03], [-2, -1.5]],
  ["one grid for all", "{kernel_shape=[3,3]}", [0.02, 0.02], [-2.005, -2.005]],
] as const)("an input that was mapped to its 8-bit grid: %s", async (_, attrs, steps, offsets) => {
  const text = `in %x : f32[N, 2, 6, 6]
const %w : f32[3, 2, 3, 3] = random(1)
const %b : f32[3] = dense [0.1, 0.2, -0.3]
%c = conv %x, %w, %b ${attrs} @"c"
%r = relu %c @"r"
const %v : f32[2, 3, 1, 1] = random(2)
%d = conv %r, %v @"d"
out %d`;
  const random = randomFrom(4);
  const value = (i: number): number =>
    (offsets[Math.floor(i / 36) % 2] as number) + Math.floor(random() * 256) * (steps[Math.floor(i / 36) % 2] as number);
  const x = f32(
    [4, 2, 6, 6],
    Array.from({ length: 288 }, (_v, i) => value(i)),
  );
  const compressed = graphOf(text);
  await runPipeline(compressed, [{ pass: findPass("align_input") as PassDefinition, options: {} }], {
    verify: "off",
    calibration: {
      size: 4,
      async *batches() {
        yield { x };
      },
    },
  });
  expect(compressed.opsOf("add").length).toBe(1);
  const pair = await pairModels(graphOf(text), compressed);
  expect(pair.unmatched).toEqual([]);
  expect(pair.layers.map((l) => l.name)).toContain("c");
  const run = async (g: Graph) => {
    const session = await nativeExecutor().prepare(g, { keep: ["x.aligned"] });
    const out = await session.run({ x });
    session.dispose();
    return out;
  };
  const [scaled, wanted] = [await run(pair.source), await run(compressed)];
  for (const name of ["x.aligned", "d"]) near(scaled[name], wanted[name], 3);
});

it("what the pass equalize scales is compared with the source scaled alike, through residual adds and depthwise products", async () => {
  const text = `in %x : f32[N, 2, 4, 4]
const %w1 : f32[4, 2, 3, 3] = random(1)
%a = conv %x, %w1 {pads=[1,1,1,1]} @"a"
%r = relu %a @"r"
const %w2 : f32[4, 1, 3, 3] = random(2)
%d = conv %r, %w2 {pads=[1,1,1,1], group=4} @"d"
%s = add %d, %r @"s"
%t = relu %s @"t"
const %w3 : f32[2, 4, 1, 1] = dense [9, 1, 0.1, 3, -4, 2, 0.2, 0.01]
%y = conv %t, %w3 @"y"
out %y`;
  const compressed = graphOf(text);
  await runPipeline(compressed, [{ pass: findPass("equalize") as PassDefinition, options: {} }], { verify: "off" });
  const pair = await pairModels(graphOf(text), compressed);
  expect(pair.unmatched).toEqual([]);
  expect(pair.equalized.length).toBeGreaterThan(0);
  const x = f32(
    [1, 2, 4, 4],
    Array.from({ length: 32 }, (_, i) => Math.sin(i)),
  );
  const run = async (g: Graph) => {
    const session = await nativeExecutor().prepare(g, { keep: ["r", "t"] });
    const out = await session.run({ x });
    session.dispose();
    return out;
  };
  const [scaled, wanted, before] = [await run(pair.source), await run(compressed), await run(graphOf(text))];
  for (const name of ["r", "t", "y"]) near(scaled[name], wanted[name], 3);
  near(scaled["y"], before["y"], 3);
});
