/** What place-int8 leaves in float: Concats that mix ranges, and islands that measured times speak against. */
import { expect, it } from "vitest";
import { constantTensor, type Executor, type Feeds, type Graph, type Op, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

const run = (graph: Graph, options: string, executor: Executor = observingExecutor) =>
  runPasses(graph, `quantize {range: "minmax"${options === "" ? "" : `, ${options}`}}`, {
    executor,
    calibration: samplesOf(...[1, 2, 3].map((s) => randomFeeds(graph, s) as Feeds)),
  });

/** A detection tail: boxes in hundreds and scores around 1 are joined, moved, and read by a convolution that weighs them alike. */
const tail = `in %x : f32[N, 2, 4, 4]
const %ws : f32[2, 2, 1, 1] = dense [0.3, -0.2, 0.1, 0.4]
const %wb : f32[2, 2, 1, 1] = dense [200, 100, -150, 80]
const %wm : f32[2, 4, 1, 1] = dense [0.001, 0.002, 1, -1, 0.002, -0.001, 0.5, 1]
%b = conv %x, %wb @"boxes"
%s = conv %x, %ws @"scores"
%t = transpose %s {perm=[0,1,3,2]} @"turn"
%c = concat %b, %t {axis=1} @"join"
%m = transpose %c {perm=[0,1,3,2]} @"move"
%y = conv %m, %wm @"mix"
%z = relu %y @"end"
%q = conv %z, %ws @"next"
out %q`;

const scaleOf = (op: Op | undefined): number => toNumbers(constantTensor(op?.inputs[1]) as Tensor)[0] as number;
const quantizerOf = (g: Graph, name: string): Op | undefined => g.opsOf("quantize_linear").find((op) => op.inputs[0]?.name === name);

async function noise(g: Graph): Promise<number> {
  const feeds = randomFeeds(graphOf(tail), 9) as Feeds;
  const [a, b] = await Promise.all([evaluateGraph(graphOf(tail), feeds), evaluateGraph(g, feeds)]);
  const [x, y] = [toNumbers(a["q"] as Tensor), toNumbers(b["q"] as Tensor)];
  return x.reduce((n, v, i) => n + (v - (y[i] as number)) ** 2, 0) / x.reduce((n, v) => n + v * v, 0);
}

it("a Concat that mixes ranges stays in float with what reads it, and its operands get ranges of their own", async () => {
  const [mixed, placed] = [graphOf(tail), graphOf(tail)];
  await run(mixed, "mixed_bits: 64");
  const { decisions } = await run(placed, "");
  const of = (op: string) => decisions.filter((d) => d.op === op).at(-1);
  expect(of("join")).toMatchObject({ pass: "place-int8", action: "float", figure: expect.closeTo(9.24, 1) });
  expect(of("join")?.reason).toContain('"t" would lose 9.2 bits');
  for (const op of ["move", "mix"]) expect(of(op)).toMatchObject({ action: "float", reason: 'it reads "join", which mixes ranges' });
  for (const op of ["boxes", "scores", "turn", "next"]) expect(of(op)?.action).toBe("int8");
  // Scores keep one range through the transpose, hundreds of times finer than that of the boxes.
  expect(scaleOf(quantizerOf(placed, "s"))).toBe(scaleOf(quantizerOf(placed, "t")));
  expect(scaleOf(quantizerOf(placed, "b")) / scaleOf(quantizerOf(placed, "s"))).toBeGreaterThan(100);
  expect(scaleOf(quantizerOf(mixed, "b"))).toBe(scaleOf(quantizerOf(mixed, "s")));
  expect(await noise(placed)).toBeLessThan((await noise(mixed)) / 30);
});

it("a Concat of ranges that are alike is quantized", async () => {
  const g = graphOf(tail.replace("dense [200, 100, -150, 80]", "dense [1, 0.5, -0.7, 0.4]"));
  const { decisions } = await run(g, "");
  expect(decisions.filter((d) => d.pass === "place-int8")).toEqual([]);
  expect(scaleOf(quantizerOf(g, "b"))).toBe(scaleOf(quantizerOf(g, "s")));
});

it("an outer Concat that stays in float sets inner ones free", async () => {
  const g = graphOf(`in %x : f32[N, 2, 4, 4]
const %w : f32[2, 2, 1, 1] = dense [0.3, -0.2, 0.1, 0.4]
const %wb : f32[2, 2, 1, 1] = dense [200, 100, -150, 80]
const %wm : f32[2, 6, 1, 1] = random(3)
%a = conv %x, %w @"a"
%b = conv %x, %w @"b"
%c = conv %x, %wb @"c"
%i = concat %a, %b {axis=1} @"inner"
%o = concat %i, %c {axis=1} @"outer"
%y = conv %o, %wm @"mix"
out %y`);
  const { decisions } = await run(g, "");
  expect(decisions.filter((d) => d.pass === "place-int8").map((d) => d.op)).toEqual(["outer", "mix"]);
  expect(scaleOf(quantizerOf(g, "a"))).toBe(scaleOf(quantizerOf(g, "i")));
  expect(scaleOf(quantizerOf(g, "c")) / scaleOf(quantizerOf(g, "a"))).toBeGreaterThan(100);
});

/** A lone convolution between float ops, and a chain of three. */
const islands = `in %x : f32[N, 2, 4, 4]
const %w : f32[2, 2, 1, 1] = random(1)
%a = conv %x, %w @"a"
%b = conv %a, %w @"b"
%c = conv %b, %w @"c"
%t = tanh %c @"t"
%l = conv %t, %w @"lone"
%u = softmax %l {axis=1} @"u"
out %u`;

/** Times by hand: a convolution takes 100 in float and 40 on stored operands, a conversion 50. */
const timed = (times: { readonly int8: number; readonly conversion: number }): Executor => ({
  ...observingExecutor,
  async profile(graph) {
    const stored = (op: Op): boolean => op.inputs[0]?.producer?.kind === "dequantize_linear";
    return new Map(
      graph.ops.flatMap((op): [string, number][] => {
        if (op.kind === "conv") return [[`${stored(op) ? "cpu.qconv" : "cpu.conv"} ${op.name}`, stored(op) ? times.int8 : 100_000]];
        return op.kind === "quantize_linear" ? [[`quantize ${op.inputs[0]?.name}`, times.conversion]] : [];
      }),
    );
  },
});

it("measured: an op whose conversions cost more than it gains stays in float, a chain that gains runs on INT8", async () => {
  const g = graphOf(islands);
  const { decisions, passes } = await run(g, 'placement: "measured"', timed({ int8: 40_000, conversion: 40_000 }));
  const of = (op: string) => decisions.filter((d) => d.op === op && d.pass === "place-int8").map((d) => [d.action, d.reason, d.figure]);
  expect(of("lone")).toEqual([["float", "measured: 120.0 µs on INT8 with its conversions, 100.0 µs in float", 1.2]]);
  expect(of("b")).toEqual([["int8", "measured: 280.0 µs on INT8 with its conversions, 300.0 µs in float, for 3 ops together", 0.9333]]);
  expect(g.opsOf("conv").map((op) => [op.name, op.inputs[0]?.producer?.kind === "dequantize_linear"])).toEqual([
    ["a", true],
    ["b", true],
    ["c", true],
    ["lone", false],
  ]);
  expect(passes.find((p) => p.name === "place-int8")?.statistics).toMatchObject({ islands: 2, slower: 1 });
});

it("measured: where INT8 gains nothing, nothing is quantized", async () => {
  const g = graphOf(islands);
  await run(g, 'placement: "measured"', timed({ int8: 99_000, conversion: 1_000 }));
  expect(g.opsOf("quantize_linear", "dequantize_linear")).toEqual([]);
});

it("measured: an op of the same kind in both programs counts with its own times, the rest of the network does not", async () => {
  const g = graphOf(`in %x : f32[N, 2, 4, 4]
const %w : f32[2, 2, 1, 1] = random(1)
%a = conv %x, %w @"a"
%p = max_pool %a {kernel_shape=[2,2], strides=[2,2]} @"p"
%b = conv %p, %w @"b"
%t = tanh %b @"t"
out %t`);
  const executor: Executor = {
    ...observingExecutor,
    async profile(graph) {
      const pool = graph.opsOf("max_pool")[0]?.inputs[0]?.producer?.kind === "dequantize_linear" ? 10_000 : 90_000;
      return new Map([
        ["cpu.max_pool p", pool],
        ["tanh t", pool],
      ]);
    },
  };
  const { decisions } = await run(g, 'placement: "measured"', executor);
  expect(decisions.find((d) => d.pass === "place-int8" && d.op === "p")?.reason).toContain("10.0 µs on INT8 with its conversions, 90.0 µs in float");
});

it("measured in an engine that cannot time ops is a warning, and all is quantized", async () => {
  const g = graphOf(islands);
  const { warnings } = await run(g, 'placement: "measured"');
  expect(warnings.map((w) => w.code)).toEqual(["CEC4020"]);
  expect(g.opsOf("quantize_linear").length).toBeGreaterThan(4);
});

it("the native engine gives a positive time for every op that it runs", async () => {
  const g = graphOf(islands);
  const times = await nativeExecutor().profile?.(g, randomFeeds(g, 1) as Feeds);
  expect([...(times ?? [])].filter(([key]) => key.startsWith("cpu.conv ")).map(([key]) => key)).toEqual(
    ["a", "b", "c", "lone"].map((n) => `cpu.conv ${n}`),
  );
  for (const ns of times?.values() ?? []) expect(ns).toBeGreaterThan(0);
});
