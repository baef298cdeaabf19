/**
 * `cec quantize` beside ONNX Runtime's own tool, in one run, alternating: seconds and peak memory of whole processes.
 *   CEC_DATA=… CEC_PEERS=/path/to/venv/bin/python npm run bench:quantize [-- ROUNDS [MODEL [TOOL;…]]]
 * CEC_PEERS is a Python with onnxruntime, onnx and numpy; CEC_PEER_SCRIPT the script (../shared/peers/ptq.py). The samples are the same: those of the plans,
 * written to .npy first; noise for ResNet-50, whose weights are random too (bench/e2e/latency.cplan).
 */
import { spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { randomFrom } from "../../compiler/core/index.js";
import { encodeNpy } from "../../compiler/driver/data/npy.js";
import { models, writeSet } from "./models.js";
import { type Measured, measure } from "./processes.js";

const rounds = Number(process.argv[2] ?? 3);
const python = process.env["CEC_PEERS"];
const script = process.env["CEC_PEER_SCRIPT"] ?? resolve("../shared/peers/ptq.py");
const out = resolve("out/bench/quantize");
const lines = join(out, "quantize.jsonl");
const cec = "dist/bundle/cli.js";
mkdirSync(out, { recursive: true });
rmSync(lines, { force: true });

const runs = [
  ...models.map((m) => ({ name: `${m.title}, ${m.samples} samples`, file: m.file, set: m.calibrate, count: m.samples })),
  { name: "ResNet-50, 300 samples", file: resolve("out/bench/latency/resnet50.f32.onnx"), set: "noise", count: 300 },
];

const median = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1] as number;
const show = (text: string): unknown => process.stdout.write(`${text}\n`);

async function samples(set: string, count: number, path: string): Promise<void> {
  if (set !== "noise") return writeSet(set, path, count);
  if (existsSync(path)) return;
  const random = randomFrom(1);
  const values = new Float32Array(count * 3 * 224 * 224).map(() => 4 * random() - 2);
  writeFileSync(path, encodeNpy({ type: "f32", dims: [count, 3, 224, 224], data: values }));
}

show(`medians of ${rounds} alternating rounds; whole processes, start-up and proof included\n`);
show("| model | tool | seconds | of processors | peak MiB |");
show("|---|---|---|---|---|");
for (const m of runs.filter((e) => e.name.includes(process.argv[3] ?? ""))) {
  const npy = join(out, `${m.set}.npy`);
  await samples(m.set, m.count, npy);
  if (!existsSync(m.file))
    spawnSync(process.execPath, [cec, "build", "bench/e2e/latency.cplan", "--plan", "resnet50_f32", "--out", "out/bench/latency"], {
      stdio: "inherit",
    });
  const tools: Record<string, () => Measured> = {};
  for (const recipe of ["fast", "accurate", "minmax", "mse"])
    tools[`cec ${recipe}`] = () =>
      measure(process.execPath, [cec, "quantize", m.file, "-o", join(out, "cec.onnx"), "--calibrate", npy, "--recipe", recipe, "--threads", "2"]);
  if (python !== undefined)
    for (const tool of ["ort-minmax", "ort-entropy"])
      tools[tool] = () => measure(python, [script, m.file, join(out, "ort.onnx"), "--calibrate", npy, "--tool", tool]);
  // ONNX Runtime holds every activation for its histograms: 100 images take 6 GiB already.
  if (m.count === 300) delete tools["ort-entropy"];
  const wanted = process.argv[4]?.split(";");
  const chosen = Object.entries(tools).filter(([t]) => wanted?.includes(t) ?? true);
  const seen = new Map<string, Measured[]>(chosen.map(([t]) => [t, []]));
  for (let i = 0; i < rounds; i++) for (const [t, run] of chosen) seen.get(t)?.push(run());
  for (const [t, list] of seen) {
    const middle = (f: (x: Measured) => number): number => median(list.map(f));
    show(`| ${m.name} | ${t} | ${middle((x) => x.seconds).toFixed(2)} | ${middle((x) => x.cpuSeconds).toFixed(1)} | ${middle((x) => x.peakMiB)} |`);
    appendFileSync(lines, `${JSON.stringify({ model: m.name, tool: t, rounds: list })}\n`);
  }
}
