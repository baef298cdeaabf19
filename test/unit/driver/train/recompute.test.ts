/** Steps that make activations again: the bits of every state, and the memory of the program that runs. */
import { expect, it } from "vitest";
import {
  fromNumbers,
  type Graph,
  type GraphBuilder,
  graphBuilder,
  type Op,
  type PassCall,
  parsePasses,
  type Recompute,
  randomFrom,
  resolvePasses,
  runPipeline,
  type Tensor,
  toBytes,
  type Value,
} from "../../../../compiler/core/index.js";
import { layerContext, layers } from "../../../../compiler/driver/layers/index.js";
import { loadModel } from "../../../../compiler/driver/model.js";
import { compileTraining, lowerTraining, memoryOfTraining } from "../../../../compiler/driver/train/compile.js";
import { initialStates, passes, statesOf } from "../../../../passes/index.js";
import { nativeIsBuilt } from "../../../../runtime-native/ts/index.js";

const built = nativeIsBuilt();
const run = (graph: Graph, line: string) => runPipeline(graph, resolvePasses(parsePasses(line), passes) as PassCall[]);
const model = (name: string): string => new URL(`../../../../models/${name}`, import.meta.url).pathname;

const channelsOf = (v: Value): number => (v.type.kind === "tensor" ? (v.type.shape?.[1] as number) : 0);

/** A network in code: layers by their names in the language. */
function network(build: (b: GraphBuilder, layer: (name: string, inputs: Value[], options?: object) => Value) => void): Graph {
  const b = graphBuilder("net");
  let count = 0;
  build(b, (name, inputs, options = {}) => {
    const l = layers.get(name);
    if (l === undefined) throw new Error(name);
    return l.build(layerContext(b, `${name}_${++count}`, 1), inputs, l.options.parse(options)) as Value;
  });
  return b.graph;
}

const nets: Readonly<Record<string, () => Promise<Graph>>> = {
  "residual blocks": async () => (await loadModel(`${model("resnet20.cplan")}#resnet20(blocks: 1)`)).graph,
  "a causal transformer": async () => (await loadModel(`${model("transformer.cplan")}#transformer(layers: 4, causal: true, sequence: 16)`)).graph,
  "skip connections over everything": async () =>
    network((b, layer) => {
      const block = (x: Value, channels: number): Value =>
        layer("relu", [layer("batch_norm", [layer("conv2d", [x], { channels, kernel: 3, pad: 1 })])]);
      const skips: Value[] = [];
      let x = b.input("image", "f32", ["N", 2, 16, 16]);
      for (const channels of [8, 8, 16]) {
        x = block(x, channels);
        skips.push(x);
        x = layer("max_pool", [x], { kernel: 2 });
      }
      x = block(x, 16);
      for (const skip of skips.reverse())
        x = block(layer("add", [layer("conv_transpose2d", [x], { channels: channelsOf(skip), kernel: 2, stride: 2 }), skip]), 8);
      b.output("logits", layer("linear", [layer("flatten", [layer("global_avg_pool", [x])])], { features: 5 }));
    }),
  "a plain chain": async () =>
    network((b, layer) => {
      let x = b.input("x", "f32", ["N", 32]);
      for (let i = 0; i < 9; i++) x = layer(i % 2 === 0 ? "tanh" : "sigmoid", [layer("linear", [x], { features: 64 })]);
      b.output("logits", layer("linear", [x], { features: 5 }));
    }),
};

async function trainingGraph(graph: Graph): Promise<{ graph: Graph; initial: Map<string, Tensor> }> {
  await run(graph, 'untie-vectors, add-loss, autodiff {batch_norm="batch"}');
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  await run(graph, "apply-optimizer {weight_decay=0.001}");
  return { graph, initial };
}

function feedsOf(graph: Graph, batch: number): Record<string, Tensor> {
  const random = randomFrom(7);
  const states = new Set(statesOf(graph).map((s) => s.input));
  const feeds: Record<string, Tensor> = {};
  for (const v of graph.inputs) {
    if (states.has(v.name) || v.type.kind !== "tensor") continue;
    const { elem, shape } = v.type;
    const dims = (shape ?? []).map((d) => (typeof d === "number" ? d : batch));
    const draw = (): number => (v.name === "learning_rate" ? 0.05 : elem === "f32" ? 2 * random() - 1 : Math.floor(5 * random()));
    feeds[v.name] = fromNumbers(elem, dims, Array.from({ length: dims.reduce((a, b) => a * b, 1) }, draw));
  }
  return feeds;
}

/** Most bytes that results of ops take at a moment when each is freed after its last reader, no bytes are shared, and the caller's do not count. */
function mostBytes(lowered: Graph, batch: number): number {
  const ops = lowered.ops.filter((op) => op.kind !== "constant");
  const size = (v: Value): number => {
    const shape = v.type.kind === "tensor" ? (v.type.shape ?? []) : [];
    return shape.reduce<number>((n, d) => n * (typeof d === "number" ? d : batch), 4);
  };
  const last = new Map<Value, Op>();
  for (const op of ops) for (const v of op.inputs) if (v !== null) last.set(v, op);
  let [live, most] = [0, 0];
  for (const op of ops) {
    for (const v of op.outputs) live += size(v);
    most = Math.max(most, live);
    for (const v of new Set([...op.inputs, ...op.outputs]))
      if (v !== null && v.producer !== null && v.producer.kind !== "constant" && (last.get(v) ?? op) === op) live -= size(v);
  }
  return most;
}

const twice = (lowered: Graph): Op[] => lowered.ops.filter((op) => op.name.endsWith(".again"));

it.skipIf(!built).each(Object.keys(nets))("%s: the same bits in every state, and less memory, which the planner proves", async (name) => {
  const { graph, initial } = await trainingGraph(await (nets[name] as () => Promise<Graph>)());
  // Many activations for the parameters and the scratch memory of the ops, so that these are not what fills the memory.
  const batch = name === "a plain chain" ? 128 : 16;
  const feeds = feedsOf(graph, batch);
  const course = async (recompute?: Recompute) => {
    const { session, lowered } = await compileTraining(graph, initial, { threads: 2, recompute, batch });
    await session.step(feeds);
    const bytes = session.arenaBytes();
    const states = new Map([...session.states].map(([n, t]) => [n, Buffer.from(toBytes(t))]));
    session.dispose();
    return { states, bytes, lowered };
  };
  const all = await course();
  expect(twice(all.lowered)).toEqual([]);
  const budget = { budget: (0.8 * all.bytes) / 2 ** 20 };
  for (const recompute of ["sqrt", "optimum", { every: 2 }, { every: 3 }, budget] as Recompute[]) {
    const some = await course(recompute);
    expect(twice(some.lowered).length, JSON.stringify(recompute)).toBeGreaterThan(0);
    // Segments of three do nothing about the fullest moment of the net with skip connections.
    if (mostBytes(some.lowered, batch) < mostBytes(all.lowered, batch)) expect(some.bytes, JSON.stringify(recompute)).toBeLessThan(all.bytes);
    else expect([name, recompute]).toEqual(["skip connections over everything", { every: 3 }]);
    if (recompute === budget) expect(some.bytes / 2 ** 20).toBeLessThanOrEqual(budget.budget);
    const plan = memoryOfTraining(some.lowered, batch, 2);
    expect(plan.arenaBytes).toBe(some.bytes);
    expect(plan.liveBytes).toBeLessThanOrEqual(plan.arenaBytes);
    // Scratch is all that the engine needs beyond what each result takes by itself.
    const scratch = Math.max(0, ...plan.buffers.filter((b) => b.scratch).map((b) => b.bytes));
    expect(plan.liveBytes).toBeLessThanOrEqual(mostBytes(some.lowered, batch) + scratch);
    expect([...some.states.keys()]).toEqual([...all.states.keys()]);
    for (const [state, bytes] of all.states) expect(some.states.get(state)?.equals(bytes), `${state}, ${JSON.stringify(recompute)}`).toBe(true);
  }
});

it.skipIf(!built)("steps in f16 give the same bits too", async () => {
  const graph = await (nets["residual blocks"] as () => Promise<Graph>)();
  await run(graph, 'untie-vectors, add-loss, autodiff {batch_norm="batch", scaled=true}');
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  await run(graph, "apply-optimizer");
  initial.set("loss_scale", fromNumbers("f32", [], [256]));
  const feeds = feedsOf(graph, 4);
  const states = async (recompute?: Recompute) => {
    const { session, lowered } = await compileTraining(graph, initial, { precision: "f16", recompute, batch: 4 });
    await session.step(feeds);
    const found = [...session.states].map(([n, t]) => `${n} ${Buffer.from(toBytes(t)).toString("base64")}`);
    session.dispose();
    return { found, lowered };
  };
  const some = await states("sqrt");
  expect(twice(some.lowered).length).toBeGreaterThan(0);
  expect(some.found).toEqual((await states()).found);
});

it("no op runs more than twice, results of the step are kept", async () => {
  const { graph } = await trainingGraph(await (nets["a plain chain"] as () => Promise<Graph>)());
  const lowered = await lowerTraining(graph, { recompute: { every: 2 }, batch: 4 });
  const names = twice(lowered).map((op) => op.name);
  expect(new Set(names).size).toBe(names.length);
  const logits = lowered.outputs.find((o) => o.name === "logits")?.value.producer;
  expect(names).not.toContain(`${logits?.name}.again`);
});

it("a budget below the least is refused with the least", async () => {
  const { graph } = await trainingGraph(await (nets["a plain chain"] as () => Promise<Graph>)());
  await expect(lowerTraining(graph, { recompute: { budget: 0.001 }, batch: 4 })).rejects.toThrow(
    /CEC4018: a training step of 4 samples does not fit into 0.001 MiB/,
  );
});

it("takes training graphs only", async () => {
  const graph = await (nets["a plain chain"] as () => Promise<Graph>)();
  graph.level = "lowered";
  await expect(run(graph, "recompute-activations")).rejects.toThrow(/CEC4014: the graph holds no loss/);
});
