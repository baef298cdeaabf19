import { expect, it } from "vitest";
import {
  constantTensor,
  type Feeds,
  f32,
  fromNumbers,
  type Graph,
  type GraphSession,
  type Op,
  parsePasses,
  resolvePasses,
  runPipeline,
  type Tensor,
  type Trainer,
  type TrainingTask,
  toNumbers,
} from "../../../../compiler/core/index.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { prepareOrt } from "../../../../compiler/driver/engine/ort.js";
import { passes } from "../../../../passes/index.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

/** Every way that specs have through a network: fused activations, a residual add, moved and joined values, a pool, products. */
const net = `in %image : f32[N, 2, 8, 8]
const %w1 : f32[8, 2, 3, 3] = random(1)
const %b1 : f32[8] = random(2)
%a = conv %image, %w1, %b1 {pads=[1, 1, 1, 1], activation="relu"} @"first"
%p = max_pool %a {kernel_shape=[2, 2], strides=[2, 2]} @"pool"
const %w2 : f32[8, 8, 3, 3] = random(3, -0.3, 0.3)
const %b2 : f32[8] = random(4)
%c = conv %p, %w2, %b2 {pads=[1, 1, 1, 1]} @"second"
%s = add %c, %p @"sum"
%r = relu %s @"relu"
const %w3 : f32[4, 8, 1, 1] = random(5, -0.5, 0.5)
%d = conv %r, %w3 {activation="clip", clip_min=0, clip_max=1.5} @"third"
%j = concat %d, %r {axis=1} @"join"
%g = global_average_pool %j @"gap"
%f = flatten %g @"flat"
const %w4 : f32[12, 5] = random(6)
const %b4 : f32[5] = random(7)
%logits = gemm %f, %w4, %b4 @"last"
out %logits`;
const samples: readonly Feeds[] = [1, 2, 3, 4].map((s) => randomFeeds(graphOf(net), s, 16) as Feeds);
const calibrated = { executor: observingExecutor, calibration: samplesOf(...samples) };
const test = randomFeeds(graphOf(net), 9, 64) as Feeds;
const predictions = (t: Tensor): number[] => {
  const [v, width] = [toNumbers(t), t.dims[1] as number];
  return Array.from({ length: t.dims[0] as number }, (_, i) => {
    const row = v.slice(i * width, (i + 1) * width);
    return row.indexOf(Math.max(...row));
  });
};
const through = async (session: GraphSession): Promise<Tensor> => {
  const out = await session.run(test);
  session.dispose();
  return out["logits"] as Tensor;
};

for (const [weights, activations] of [
  [8, 8],
  [4, 8],
  [4, 4],
] as const) {
  it(`W${weights}A${activations}: the fake-quantized graph predicts what the integer graph does; our engine and ONNX Runtime give the same bits`, async () => {
    const graph = graphOf(net);
    await runPasses(
      graph,
      `annotate-int8{weight_bits: ${weights}, activation_bits: ${activations}, weight_range: "mse"},observe,place-int8`,
      calibrated,
    );
    const fake = graph.clone();
    await runPasses(fake, "fake-quantize");
    await runPasses(graph, "validate-quantization,materialize-qdq");
    const want = await evaluateGraph(fake, test);
    const native = await through(await nativeExecutor({ threads: 2 }).prepare(graph));
    expect(predictions(native)).toEqual(predictions(want["logits"] as Tensor));
    // Integers of both are the same: the results differ by float rounding of the last product at most.
    const rounded = toNumbers(want["logits"] as Tensor);
    toNumbers(native).forEach((v, i) => {
      expect(Math.abs(v - (rounded[i] as number))).toBeLessThan(1e-4);
    });
    const stored = graph.opsOf("constant").map((op) => (op.outputs[0]?.type.kind === "tensor" ? op.outputs[0].type.elem : ""));
    expect(stored.filter((t) => t === "i4")).toHaveLength(weights === 4 ? 2 : 0);
    const ort = await through(await prepareOrt(graph, [], { threads: 1 }));
    expect([...toNumbers(ort)]).toEqual([...toNumbers(native)]);
  });
}

interface Trained {
  readonly task: TrainingTask;
  readonly graph: Graph;
  /** What validation would measure at the start. */
  readonly deployed: Graph;
  readonly warnings: readonly string[];
}

/** `qat` with a trainer that gives back what `change` makes of the states that it got. */
async function withTrainer(options: string, change: (name: string, t: Tensor) => Tensor, source = net): Promise<Trained> {
  const graph = graphOf(source);
  let task: TrainingTask | null = null;
  let deployed = graph;
  const trainer: Trainer = {
    async train(t) {
      task = t;
      deployed = await t.deploy(t.initial);
      return { states: new Map([...t.initial].map(([n, v]) => [n, change(n, v)])), steps: 1, loss: 1, top1: null, bestStep: 1, scaling: null };
    },
  };
  const result = await runPipeline(graph, resolvePasses(parsePasses(`qat {data: "d", range: "minmax"${options}}`), passes), {
    ...calibrated,
    trainer,
    seed: 1,
  });
  return { task: task as unknown as TrainingTask, graph, deployed, warnings: result.warnings.map((w) => `${w.code} ${w.message}`) };
}
const scaled = (t: Tensor, by: number): Tensor =>
  fromNumbers(
    t.type,
    t.dims,
    Array.from(toNumbers(t), (v) => v * by),
  );
const scalesOf = (g: Graph, name: string, operand: number): number[] => {
  const op = g.ops.find((o) => o.name === name) as Op;
  return [...toNumbers(constantTensor(op.inputs[operand]?.producer?.inputs[1] ?? null) as Tensor)];
};

it("learned steps become the scales of the integer graph, and those of values that share one are the same", async () => {
  const untouched = await withTrainer("", (_, t) => t);
  const ptq = graphOf(net);
  await runPasses(ptq, 'quantize {range: "minmax", weight_range: "mse"}', calibrated);
  for (const [op, i] of [
    ["second", 0],
    ["second", 1],
    ["last", 1],
    ["sum", 0],
  ] as const)
    expect(scalesOf(untouched.graph, op, i)).toEqual(scalesOf(ptq, op, i));
  const doubled = await withTrainer("", (name, t) => (name.endsWith(".step") ? scaled(t, 2) : t));
  for (const [op, i] of [
    ["second", 0],
    ["pool", 0],
    ["second", 1],
    ["last", 1],
  ] as const)
    expect(scalesOf(doubled.graph, op, i)).toEqual(scalesOf(ptq, op, i).map((s) => 2 * s));
  expect(scalesOf(doubled.graph, "pool", 0)).toEqual(scalesOf(doubled.graph, "second", 0));
  // Operands of the concat have its range.
  expect(scalesOf(doubled.graph, "join", 0)).toEqual(scalesOf(doubled.graph, "join", 1));
});

it("a step that was learned away is held at its floor", async () => {
  const { graph } = await withTrainer("", (name, t) => (name === "w2.step" ? scaled(t, -1) : t));
  const first = await withTrainer("", (_, t) => t);
  expect(scalesOf(graph, "second", 1)).toEqual(scalesOf(first.graph, "second", 1).map((s) => s * 2 ** -10));
});

it("without learned steps the scales follow the weights, and ranges of activations are what was observed", async () => {
  const first = await withTrainer(", learned_step: false", (_, t) => t);
  const { graph, task } = await withTrainer(", learned_step: false", (name, t) =>
    name === "w2" ? scaled(t, 3) : /\.(low|high)$/.test(name) ? scaled(t, 0.5) : t,
  );
  const near = (a: number[], b: number[]): void => a.forEach((v, i) => void expect(v / (b[i] as number)).toBeCloseTo(1, 5));
  near(
    scalesOf(graph, "second", 1),
    scalesOf(first.graph, "second", 1).map((s) => 3 * s),
  );
  near(
    scalesOf(graph, "second", 0),
    scalesOf(first.graph, "second", 0).map((s) => 0.5 * s),
  );
  // Ranges move by a hundredth of the way to the extremes of the batch, until they are frozen.
  const states = Object.fromEntries(
    task.graph.inputs.flatMap((v) => {
      const shape = v.type.kind === "tensor" ? v.type.shape : null;
      return task.initial.has(v.name) || v.name.endsWith(".velocity")
        ? [[v.name, task.initial.get(v.name) ?? f32(shape as number[], new Float32Array((shape as number[]).reduce((a, b) => a * b, 1)))]]
        : [];
    }),
  );
  const image = randomFeeds(graphOf(net), 5, 4) as Feeds;
  const step = (progress: number) =>
    evaluateGraph(task.graph, {
      ...states,
      ...image,
      labels: fromNumbers("i64", [4], [0, 1, 2, 3]),
      learning_rate: f32([], [0]),
      progress: f32([], [progress]),
    });
  const [early, late] = [await step(0), await step(0.5)];
  const [low, next, frozen] = [states["image.low"], early["image.low.next"], late["image.low.next"]].map(
    (t) => toNumbers(t as Tensor)[0] as number,
  ) as [number, number, number];
  const least = Math.min(...toNumbers(image["image"] as Tensor));
  expect(next).toBeCloseTo(low + 0.01 * (least - low), 5);
  expect(frozen).toBe(low);
  expect(Object.keys(early).some((n) => n.endsWith(".step.next"))).toBe(false);
});

it("what validation measures is the integer graph", async () => {
  const { deployed: model } = await withTrainer(", weight_bits: 4", (_, t) => t);
  expect(model.level).toBe("quantized");
  expect(model.opsOf("train.fake_quantize")).toHaveLength(0);
  expect(model.opsOf("quantize_linear").length).toBeGreaterThan(4);
});

it("batch normalization is folded; one that cannot be is named", async () => {
  const alone = net
    .replace('%r = relu %s @"relu"', '%n = batch_normalization %s, %k, %k, %k, %k @"bn"\n%r = relu %n @"relu"')
    .replace("%s = add", "const %k : f32[8] = dense [1, 1, 1, 1, 1, 1, 1, 1]\n%s = add");
  const { warnings, graph } = await withTrainer("", (_, t) => t, alone);
  expect(warnings.join()).toContain('CEC4021 batch normalization "bn" could not be folded');
  expect(graph.opsOf("batch_normalization")).toHaveLength(1);
  const behind = net
    .replace('@"second"', '@"second"\nconst %k : f32[8] = dense [1, 1, 1, 1, 1, 1, 1, 1]\n%cn = batch_normalization %c, %k, %k, %k, %k @"bn"')
    .replace("add %c,", "add %cn,");
  const clean = await withTrainer("", (_, t) => t, behind);
  expect(clean.warnings).toEqual([]);
  expect(clean.graph.opsOf("batch_normalization")).toHaveLength(0);
});

it("is held against the target before it is trained", async () => {
  let trained = false;
  const trainer: Trainer = {
    async train({ initial }) {
      trained = true;
      return { states: initial, steps: 1, loss: 1, top1: null, bestStep: 1, scaling: null };
    },
  };
  const calls = resolvePasses(parsePasses('qat {data: "d", range: "minmax", activation_bits: 4, profile: "tensorrt"}'), passes);
  await expect(runPipeline(graphOf(net), calls, { ...calibrated, trainer })).rejects.toThrow(/CEC4008.*fewer than 8 bits/);
  expect(trained).toBe(false);
});
