/**
 * `cec quantize` beside ONNX Runtime's own tool, in one run, alternating: seconds and peak memory of whole processes.
 *   CEC_DATA=… CEC_PEERS=/path/to/venv/bin/python npm run bench:quantize [-- ROUNDS [MODEL]]
 * CEC_PEERS is a Python with onnxruntime, onnx and numpy; CEC_PEER_SCRIPT the script (../shared/peers/ptq.py). The samples are the same: those of the plans,
 * written to .npy first.
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { openData, slice } from "../../compiler/driver/data/index.js";
import { encodeNpy } from "../../compiler/driver/data/npy.js";
import { openPlan } from "../../compiler/driver/language.js";
import { type Measured, measure } from "./processes.js";

const rounds = Number(process.argv[2] ?? 3);
const data = process.env["CEC_DATA"] ?? "";
const python = process.env["CEC_PEERS"];
const script = process.env["CEC_PEER_SCRIPT"] ?? resolve("../shared/peers/ptq.py");
const out = resolve("out/bench/quantize");
const lines = join(out, "quantize.jsonl");
mkdirSync(out, { recursive: true });
rmSync(lines, { force: true });

const models = [
  { name: "ResNet-56, 512 samples", file: "resnet56_cifar10.onnx", set: "cifar10.train", count: 512 },
  { name: "MobileNetV2, 300 samples", file: "mobilenetv2_imagenet.onnx", set: "imagenet_tf.calibrate", count: 300 },
];

const median = (v: readonly number[]): number => [...v].sort((a, b) => a - b)[v.length >> 1] as number;
const show = (text: string): unknown => process.stdout.write(`${text}\n`);

/** The samples as one array, written a part at a time. */
async function samples(set: string, count: number, path: string): Promise<void> {
  const declared = (await openPlan("models/data.cplan")).data.get(set);
  if (declared === undefined) throw new Error(`models/data.cplan has no ${set}`);
  const all = slice(await openData(set, declared.kind as "npy", declared.options, declared.baseDir), 0, count);
  const { arrays } = await all.read(0, all.size);
  writeFileSync(path, encodeNpy(Object.values(arrays)[0] as never));
}

show(`medians of ${rounds} alternating rounds; whole processes, start-up and proof included\n`);
show("| model | tool | seconds | peak MiB |");
show("|---|---|---|---|");
for (const m of models.filter((e) => e.name.includes(process.argv[3] ?? ""))) {
  const npy = join(out, `${m.set}.npy`);
  await samples(m.set, m.count, npy);
  const model = join(data, "models", m.file);
  const tools: Record<string, () => Measured> = {};
  for (const recipe of ["fast", "accurate", "minmax", "mse"])
    tools[`cec quantize, ${recipe}`] = () =>
      measure(process.execPath, [
        "dist/compiler/driver/cli/main.js",
        "quantize",
        model,
        "-o",
        join(out, "cec.onnx"),
        "--calibrate",
        npy,
        "--recipe",
        recipe,
      ]);
  if (python !== undefined)
    tools["ONNX Runtime MinMax"] = () => measure(python, [script, model, join(out, "ort.onnx"), "--calibrate", npy, "--tool", "ort-minmax"]);
  const seen = new Map<string, Measured[]>(Object.keys(tools).map((t) => [t, []]));
  for (let i = 0; i < rounds; i++) for (const [t, run] of Object.entries(tools)) seen.get(t)?.push(run());
  for (const [t, list] of seen) {
    const [seconds, peakMiB] = [median(list.map((x) => x.seconds)), median(list.map((x) => x.peakMiB))];
    show(`| ${m.name} | ${t} | ${seconds.toFixed(1)} | ${peakMiB} |`);
    appendFileSync(lines, `${JSON.stringify({ model: m.name, tool: t, seconds, peakMiB, rounds: list })}\n`);
  }
}
