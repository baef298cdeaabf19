/**
 * Training steps that make activations again beside steps that keep them all, in alternating rounds of one run: working memory, time, and whether parameters and the
 * optimizer's state have the same bits after all steps. Then what is planned without running: working memory over depth, and BERT-Large.
 *   node --import tsx bench/e2e/checkpointing.ts [transformer|resnet110|depth|bert] [threads]
 */
import { callOf, fromNumbers, type Graph, type Recompute, randomFrom, type Tensor, toBytes } from "../../compiler/core/index.js";
import { loadModel, type PassCall, runPipeline } from "../../compiler/driver/index.js";
import { compileTraining, lowerTraining, memoryOfTraining } from "../../compiler/driver/train/compile.js";
import { trainingMemory, trainingTask } from "../../compiler/driver/train/memory.js";
import { initialStates, passes, statesOf } from "../../passes/index.js";

const ROUNDS = 5;
const [GIB, MIB] = [2 ** 30, 2 ** 20];
const [, , only, threadsText] = process.argv;
const threads = Number(threadsText ?? 2);
const wanted = (name: string): boolean => only === undefined || only === name;
const print = (row: object): boolean => process.stdout.write(`${JSON.stringify(row)}\n`);
const model = (file: string): string => new URL(`../../models/${file}`, import.meta.url).pathname;
const call = (name: string, options: Readonly<Record<string, unknown>> = {}): PassCall => callOf(passes.get(name), options);
const median = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1] as number;

/** Inputs of a step that are no states: random values, and integers below 10. */
function feedsOf(graph: Graph, batch: number): Record<string, Tensor> {
  const states = new Set(statesOf(graph).map((s) => s.input));
  const random = randomFrom(1);
  return Object.fromEntries(
    graph.inputs.flatMap((v) => {
      if (states.has(v.name) || v.type.kind !== "tensor") return [];
      const { elem } = v.type;
      const dims = (v.type.shape ?? []).map((d) => (typeof d === "number" ? d : batch));
      const draw = (): number => (v.name === "learning_rate" ? 0.01 : elem === "f32" ? 2 * random() - 1 : Math.floor(10 * random()));
      const count = dims.reduce((a, b) => a * b, 1);
      return [[v.name, fromNumbers(elem, dims, Array.from({ length: count }, draw))]];
    }),
  );
}

async function steps(name: string, path: string, batch: number): Promise<void> {
  const { graph } = await loadModel(path);
  await runPipeline(graph, [call("untie_vectors"), call("add_loss"), call("autodiff", { batch_norm: "batch" })]);
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  await runPipeline(graph, [call("apply_optimizer")]);
  const feeds = feedsOf(graph, batch);
  const open = async (recompute?: Recompute) => (await compileTraining(graph, initial, { threads, batch, recompute })).session;
  const all = await open();
  await all.step(feeds);
  const half = { budget: Math.floor(all.arenaBytes() / MIB / 2) };
  const variants: { readonly recompute: Recompute | null; readonly session: typeof all; readonly times: number[] }[] = [
    { recompute: null, session: all, times: [] },
  ];
  for (const recompute of [half, "sqrt", "optimum"] as const) {
    const session = await open(recompute);
    await session.step(feeds);
    variants.push({ recompute, session, times: [] });
  }
  for (let r = 0; r < ROUNDS; r++)
    for (const v of variants) {
      const started = performance.now();
      await v.session.step(feeds);
      v.times.push(performance.now() - started);
    }
  for (const { recompute, session, times } of variants)
    print({
      model: name,
      batch,
      threads,
      recompute,
      workingMiB: +(session.arenaBytes() / MIB).toFixed(1),
      timesLess: +(all.arenaBytes() / session.arenaBytes()).toFixed(2),
      msPerStep: +median(times).toFixed(0),
      timeRatio: +median(times.map((t, i) => t / (variants[0]?.times[i] as number))).toFixed(2),
      sameBits: [...all.states].every(([n, t]) => Buffer.compare(toBytes(t), toBytes(session.states.get(n) as Tensor)) === 0),
    });
  for (const v of variants) v.session.dispose();
}

if (wanted("transformer"))
  await steps(
    "transformer, 24 layers of width 256, 128 tokens",
    `${model("transformer.cplan")}#transformer(layers: 24, width: 256, inner: 1024, sequence: 128)`,
    8,
  );
if (wanted("resnet110")) await steps("resnet110", `${model("resnet20.cplan")}#resnet20(blocks: 18)`, 32);

if (wanted("depth"))
  for (const blocks of [3, 9, 18]) {
    const m = await trainingMemory(`${model("resnet20.cplan")}#resnet20(blocks: ${blocks})`, { batch: 128, threads });
    print({
      model: `resnet${6 * blocks + 2}`,
      batch: 128,
      workingMiB: +(m.without.arenaBytes / MIB).toFixed(1),
      perBlockMiB: +(m.without.arenaBytes / MIB / (3 * blocks)).toFixed(2),
      optimumMiB: +(m.with.arenaBytes / MIB).toFixed(1),
    });
  }

if (wanted("bert")) {
  const device = 80e9;
  const path = `${model("transformer.cplan")}#bert_large`;
  const m = await trainingMemory(path, { batch: 32, threads });
  print({
    model: "bert-large, 512 tokens",
    batch: 32,
    workingGiB: +(m.without.arenaBytes / GIB).toFixed(2),
    optimumGiB: +(m.with.arenaBytes / GIB).toFixed(2),
    stateGiB: +(m.stateBytes / GIB).toFixed(2),
  });
  const { graph } = await trainingTask(path);
  const plain = await lowerTraining(graph);
  for (const recompute of [undefined, "optimum"] as const) {
    const fits = async (batch: number): Promise<boolean> => {
      const lowered = recompute === undefined ? plain : await lowerTraining(graph, { recompute, batch });
      return memoryOfTraining(lowered, batch, threads).arenaBytes + m.stateBytes <= device;
    };
    let [low, high] = [32, 64];
    while (await fits(high)) [low, high] = [high, 2 * high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (await fits(middle)) low = middle;
      else high = middle;
    }
    print({ model: "bert-large, 512 tokens", recompute: recompute ?? null, largestBatchIn80GB: low });
  }
}
