/**
 * What each part of the recipes is worth, on the real models: flips against the float model and error of the outputs, on images that calibration has not seen.
 *   CEC_DATA=… npm run bench:ablation [-- MODEL,… [VARIANT;…]]
 * Runs on our engine, whose integers are ONNX's. Prints Markdown.
 */
import { availableParallelism, cpus } from "node:os";
import {
  bindData,
  calibrationOf,
  cpuInfo,
  evaluate,
  findPass,
  loadModel,
  nativeExecutor,
  type PassDefinition,
  runPipeline,
} from "../../compiler/driver/index.js";
import { models, openSet } from "./models.js";

const learned = { rounding: "gptq", learning: { samples: 256, rows: 16384, pair_sweeps: 0 } };
type Steps = readonly (readonly [pass: string, options?: Readonly<Record<string, unknown>>])[];
const variants: Readonly<Record<string, Steps>> = {
  minmax: [["quantize", { range: "minmax" }]],
  mse: [["quantize", {}]],
  "mse, aligned input": [["quantize", { align: true }]],
  "… with tuned ranges": [["quantize", { align: true, tune: true }]],
  "… with fast bias correction": [["quantize", { align: true, bias: "fast" }]],
  "… with full bias correction": [["quantize", { align: true, bias: "full" }]],
  "… with gptq": [["quantize", { align: true, ...learned }]],
  "… with gptq, fast bias correction": [["quantize", { align: true, ...learned, bias: "fast" }]],
  "… with gptq, fast bias correction, equalized (accurate)": [["quantize", { recipe: "accurate" }]],
  "… with gptq, full bias correction": [["quantize", { align: true, ...learned, bias: "full" }]],
  "per tensor, mse": [["quantize", { weights: "per_tensor" }]],
  "per tensor, equalized": [["equalize"], ["quantize", { weights: "per_tensor" }]],
  "per tensor, equalized, absorbed": [["equalize"], ["absorb_bias"], ["quantize", { weights: "per_tensor" }]],
  "per tensor, equalized, accurate": [["equalize"], ["quantize", { weights: "per_tensor", recipe: "accurate" }]],
  "per tensor, accurate": [["quantize", { weights: "per_tensor", recipe: "accurate" }]],
};

const [wanted = models.map((m) => m.name).join(), chosen = Object.keys(variants).join(";")] = process.argv.slice(2);
const show = (text: string): unknown => process.stdout.write(`${text}\n`);
const call = ([name, options = {}]: Steps[number]) => ({ pass: findPass(name) as PassDefinition, options });
const executor = nativeExecutor({ threads: availableParallelism() });
show(`${cpus()[0]?.model.trim()}, ${cpuInfo().isa}\n`);
show("| model | variant | flips | top-1 | SQNR of the outputs, dB | s |");
show("|---|---|---|---|---|---|");
for (const m of models.filter((e) => wanted.split(",").includes(e.name))) {
  const { graph } = await loadModel(m.file);
  await runPipeline(graph, ([["canonicalize"], ["fold_batch_norm"], ["canonicalize"], ["fuse"]] as Steps).map(call), { verify: "off" });
  const calibration = calibrationOf(bindData(await openSet(m.calibrate, m.samples), graph));
  const test = bindData(await openSet(m.test), graph);
  const float = await executor.prepare(graph);
  for (const [name, steps] of Object.entries(variants).filter(([n]) => chosen.split(";").includes(n))) {
    const copy = graph.clone();
    const started = performance.now();
    await runPipeline(copy, steps.map(call), { verify: "off", executor, calibration });
    const seconds = (performance.now() - started) / 1000;
    const after = await executor.prepare(copy);
    const { results } = await evaluate(test, { float, after }, { reference: "float", output: graph.outputs[0]?.name ?? "" });
    const v = results["after"]?.values;
    show(`| ${m.name} | ${name} | ${v?.flips} | ${v?.top1?.toFixed(2)} | ${v?.sqnr?.toFixed(2)} | ${seconds.toFixed(1)} |`);
    after.dispose();
  }
  float.dispose();
}
