/**
 * Rounding of weights, nearest beside learned, on the real models: flips against the float model, error of the outputs, seconds of the rounding pass.
 *   CEC_DATA=… node --import tsx bench/e2e/rounding.ts [MODEL,…] [BITS,…] [METHOD,…] [KEY=VALUE …]
 * Further settings go to round-weights; `range=` and other options of quantize too. Prints Markdown; runs on our engine, whose integers are ONNX's.
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
  passes,
  runPipeline,
} from "../../compiler/driver/index.js";
import { models, openSet } from "./models.js";

const settings = Object.fromEntries(process.argv.filter((a) => a.includes("=")).map((a) => a.split("=").map(readable) as [string, unknown]));
const [wanted = models.map((m) => m.name).join(), bits = "8,4", methods = "nearest,gptq,adaround"] = process.argv
  .slice(2)
  .filter((a) => !a.includes("="));
function readable(text: string): unknown {
  return text === "true" ? true : text === "false" ? false : Number.isNaN(Number(text)) ? text : Number(text);
}
const known = (pass: string): Record<string, unknown> => {
  const keys = Object.keys((passes.get(pass) as unknown as { readonly options: { readonly shape: object } }).options.shape);
  return Object.fromEntries(Object.entries(settings).filter(([k]) => keys.includes(k)));
};
const call = (name: string, options: Record<string, unknown> = {}) => ({ pass: findPass(name) as PassDefinition, options });
const show = (text: string): unknown => process.stdout.write(`${text}\n`);

const threads = availableParallelism();
const executor = nativeExecutor({ threads });
show(`${cpus()[0]?.model.trim()}, ${cpuInfo().isa}, ${JSON.stringify(settings)}\n`);
show("| model | weights | rounding | flips | top-1 | output SQNR, dB | layers' squared error / nearest | changed | s |");
show("|---|---|---|---|---|---|---|---|---|");
for (const m of models.filter((e) => wanted.split(",").includes(e.name))) {
  const { graph: source } = await loadModel(m.file);
  const float = await executor.prepare(source.clone());
  await runPipeline(
    source,
    ["fold_batch_norm", "canonicalize", "fuse"].map((n) => call(n)),
  );
  const calibration = calibrationOf(bindData(await openSet(m.calibrate, m.samples), source));
  const test = bindData(await openSet(m.test), source);
  const sessions: Record<string, Awaited<ReturnType<typeof executor.prepare>>> = { float };
  const rows: Record<string, string> = {};
  for (const b of bits.split(",")) {
    const annotated = source.clone();
    await runPipeline(
      annotated,
      [call("annotate_int8", { ...known("annotate_int8"), weight_bits: Number(b), ends_bits: Number(b) }), call("observe")],
      {
        executor,
        calibration,
      },
    );
    for (const method of methods.split(",")) {
      const graph = annotated.clone();
      const steps = method === "nearest" ? [] : [call("round_weights", { ...known("round_weights"), method })];
      const { passes: done, decisions } = await runPipeline(graph, [...steps, call("validate_quantization"), call("materialize_qdq")], {
        executor,
        calibration,
      });
      const shares = decisions.flatMap((d) => (d.pass === "round-weights" && d.figure !== undefined ? [d.figure] : []));
      const mean = shares.length === 0 ? 1 : shares.reduce((s, v) => s + v, 0) / shares.length;
      const key = `${b} ${method}`;
      sessions[key] = await executor.prepare(graph);
      rows[key] =
        `${mean.toFixed(3)} | ${done[0]?.statistics["changed"] ?? 0} | ${method === "nearest" ? "-" : ((done[0]?.ms ?? 0) / 1000).toFixed(1)}`;
    }
  }
  const { results } = await evaluate(test, sessions, { reference: "float", output: source.outputs[0]?.name as string });
  for (const [key, row] of Object.entries(rows)) {
    const [b, method] = key.split(" ");
    const v = results[key]?.values;
    show(`| ${m.name} | ${b} bits | ${method} | ${v?.flips} | ${v?.top1?.toFixed(2)} | ${v?.sqnr?.toFixed(2)} | ${row} |`);
  }
  for (const s of Object.values(sessions)) s.dispose();
}
