/**
 * Steps of ResNet-20 at batch 128 beside PyTorch's, in alternating rounds of one run: images a second, the peer's time as a multiple of ours, and the most memory
 * that each process held (Linux).
 *   CEC_TORCH_PYTHON=… node --import tsx bench/e2e/training.ts [threads]
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { callOf, fromNumbers, randomFrom } from "../../compiler/core/index.js";
import { loadModel, type PassCall, runPipeline } from "../../compiler/driver/index.js";
import { compileTraining } from "../../compiler/driver/train/compile.js";
import { initialStates, passes } from "../../passes/index.js";

const [BATCH, ROUNDS, STEPS] = [128, 7, 3];
const threads = Number(process.argv[2] ?? 2);
const python = process.env["CEC_TORCH_PYTHON"];

const call = (name: string, options: Readonly<Record<string, unknown>> = {}): PassCall => callOf(passes.get(name), options);
const { graph } = await loadModel(`${new URL("../../models/resnet20.cplan", import.meta.url).pathname}#resnet20`);
await runPipeline(graph, [call("untie_vectors"), call("add_loss"), call("autodiff", { batch_norm: "batch" })]);
const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
await runPipeline(graph, [call("apply_optimizer", { momentum: 0.9 })]);
const { session } = await compileTraining(graph, initial, { threads });
const random = randomFrom(1);
const feeds = {
  image: fromNumbers(
    "f32",
    [BATCH, 3, 32, 32],
    Array.from({ length: BATCH * 3072 }, () => 2 * random() - 1),
  ),
  labels: fromNumbers(
    "i64",
    [BATCH],
    Array.from({ length: BATCH }, () => Math.floor(10 * random())),
  ),
  learning_rate: fromNumbers("f32", [], [0.05]),
};
const ours = async (): Promise<number> => {
  const started = performance.now();
  for (let i = 0; i < STEPS; i++) await session.step(feeds);
  return (performance.now() - started) / STEPS;
};

const peer =
  python === undefined
    ? null
    : spawn(python, [new URL("../peers/train_resnet20.py", import.meta.url).pathname, String(threads), String(BATCH), String(STEPS)]);
const lines = peer === null ? null : createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
const theirs = async (): Promise<number> => {
  peer?.stdin.write("\n");
  return Number((await lines?.next())?.value);
};

await ours();
if (peer !== null) await theirs();
const times: { ours: number[]; theirs: number[] } = { ours: [], theirs: [] };
for (let r = 0; r < ROUNDS; r++) {
  times.ours.push(await ours());
  if (peer !== null) times.theirs.push(await theirs());
}
/** VmHWM of a process, MiB. */
const peakOf = (pid: number | "self"): number => Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
const peaks = { peakMiB: peakOf("self"), ...(peer?.pid === undefined ? {} : { torchPeakMiB: peakOf(peer.pid) }) };
peer?.stdin.end();
const median = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1] as number;
const row = {
  model: "resnet20",
  batch: BATCH,
  threads,
  msPerStep: median(times.ours),
  imagesPerSecond: (1000 * BATCH) / median(times.ours),
  arenaMiB: session.arenaBytes() / 2 ** 20,
  ...peaks,
};
process.stdout.write(
  `${JSON.stringify(peer === null ? row : { ...row, torchMsPerStep: median(times.theirs), torchOverOurs: median(times.theirs.map((t, i) => t / (times.ours[i] as number))) })}\n`,
);
session.dispose();
