/**
 * Accuracy of INT8 after calibration, ours beside ONNX Runtime's and NNCF's tools, on the real models: the tables of the README.
 *   CEC_DATA=… [CEC_PEERS=/path/to/venv/bin/python] npm run bench:int8 [-- MODEL,… [RECIPE,…]]
 * Every file is run in our engine (on this CPU's best instruction set, and held to AVX2), in ONNX Runtime (exact and default mode) and in OpenVINO; flips are
 * predictions that differ from the float model's in the same engine, on images that no tool has seen. Seconds and MiB are of whole processes: `cec quantize`, proof
 * included, and CEC_PEER_SCRIPT (../shared/peers/ptq.py). Files of peers are kept in out/bench/int8 and not made again. JSON lines stand beside them.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { cpuInfo } from "../../compiler/driver/index.js";
import { models, writeSet } from "./models.js";
import { jsonLines, type Measured, measure } from "./processes.js";

const ours: Readonly<Record<string, readonly string[]>> = {
  fast: ["--recipe", "fast"],
  accurate: ["--recipe", "accurate"],
  best: ["--recipe", "best"],
  "accurate, per tensor": ["--recipe", "accurate", "--weights", "per_tensor"],
};
const peers = ["ort-minmax", "ort-entropy", "ort-percentile", "nncf"] as const;

const [wanted = models.map((m) => m.name).join(), recipes = Object.keys(ours).join(";")] = process.argv.slice(2);
const python = process.env["CEC_PEERS"];
const script = process.env["CEC_PEER_SCRIPT"] ?? resolve("../shared/peers/ptq.py");
const show = (text: string): unknown => process.stdout.write(`${text}\n`);

interface Judged {
  readonly file: string;
  readonly top1: number;
  readonly flips: number;
}

/** Runs a tool unless its file and figures are there. */
function kept(file: string, run: () => Measured): Measured {
  const figures = `${file}.json`;
  if (existsSync(file) && existsSync(figures)) return JSON.parse(readFileSync(figures, "utf8")) as Measured;
  const m = run();
  writeFileSync(figures, JSON.stringify(m));
  return m;
}

show(`${cpus()[0]?.model.trim()}, ${cpuInfo().isa}\n`);
for (const m of models.filter((e) => wanted.split(",").includes(e.name))) {
  const out = resolve("out/bench/int8", m.name);
  mkdirSync(out, { recursive: true });
  const source = m.file;
  const [calibration, few, images] = [m.samples, m.few, "test"].map((n) => join(out, `${n}.npy`)) as [string, string, string];
  await writeSet(m.calibrate, calibration, m.samples);
  await writeSet(m.calibrate, few, m.few);
  await writeSet(m.test, images);
  const files: { tool: string; file: string; samples: number; measured: Measured }[] = [];
  for (const [tool, args] of Object.entries(ours)) {
    if (!recipes.split(";").includes(tool)) continue;
    const file = join(out, `cec-${tool.replaceAll(/\W+/g, "-")}.onnx`);
    const command = ["dist/bundle/cli.js", "quantize", source, "-o", file, "--calibrate", calibration, ...args, "--threads", "2"];
    files.push({ tool: `cec ${tool}`, file, samples: m.samples, measured: measure(process.execPath, command) });
  }
  for (const tool of python === undefined ? [] : peers) {
    const file = join(out, `${tool}.onnx`);
    const histogram = tool === "ort-entropy" || tool === "ort-percentile";
    const command = [script, source, file, "--calibrate", histogram ? few : calibration, "--tool", tool];
    files.push({ tool, file, samples: histogram ? m.few : m.samples, measured: kept(file, () => measure(python as string, command)) });
  }
  const paths = files.map((f) => f.file);
  const common = [source, images, `${images}.labels.npy`, ...paths];
  const native = (isa?: string): Judged[] =>
    jsonLines<Judged>(process.execPath, ["--import", "tsx", "bench/e2e/flips.ts", ...common], isa === undefined ? {} : { CEC_MAX_ISA: isa });
  const engines: Record<string, Judged[]> = { cec: native(), "cec, AVX2": native("avx2") };
  if (python !== undefined)
    for (const e of ["ort-exact", "ort", "openvino"]) engines[e] = jsonLines<Judged>(python, ["bench/peers/flips.py", e, ...common]);
  const line = join(out, "int8.jsonl");
  rmSync(line, { force: true });
  show(
    `**${m.name}**, float top-1 ${Object.entries(engines)
      .map(([e, j]) => `${e} ${j[0]?.top1.toFixed(2)}`)
      .join(", ")}\n`,
  );
  show(`| tool | samples | top-1 | flips: ${Object.keys(engines).join(" · ")} | size | s (of processors) | MiB |`);
  show("|---|---|---|---|---|---|---|");
  files.forEach((f, i) => {
    const judged = Object.fromEntries(Object.entries(engines).map(([e, j]) => [e, j[i + 1] as Judged]));
    const ratio = statSync(f.file).size / statSync(source).size;
    show(
      `| ${f.tool} | ${f.samples} | ${judged["cec"]?.top1.toFixed(2)} | ${Object.values(judged)
        .map((j) => j.flips)
        .join(
          " · ",
        )} | ${ratio.toFixed(3)} | ${f.measured.seconds.toFixed(1)} (${f.measured.cpuSeconds?.toFixed(1) ?? "-"}) | ${f.measured.peakMiB} |`,
    );
    appendFileSync(line, `${JSON.stringify({ model: m.name, cpu: cpus()[0]?.model.trim(), isa: cpuInfo().isa, ...f, ratio, engines: judged })}\n`);
  });
  show("");
}
