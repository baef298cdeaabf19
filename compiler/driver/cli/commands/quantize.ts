import { basename, dirname, resolve } from "node:path";
import { type Command, Option } from "commander";
import type { CheckedData, CheckedFile, CheckedPlan, DataRef } from "../../../../dsl/index.js";
import { CecError, fail, type Graph, NEWEST_EXPORT, OLDEST_EXPORT } from "../../../core/index.js";
import { build, jsonNumber } from "../../build/index.js";
import { reportTable } from "../../build/report.js";
import { type DataKindName, openData } from "../../data/index.js";
import { loadModel } from "../../model.js";
import { type RecipeName, recipeSteps, recipes } from "../../recipes.js";
import { commandLine, resolveData } from "../../references.js";
import { interruptible } from "../interrupt.js";
import { collect, type EngineOptions, engineOption, jsonOption, numbers, threadsOption, wholeNumber } from "../options.js";
import { note, print, printDiagnostics, progress, style } from "../output.js";

interface QuantizeFlags extends EngineOptions {
  readonly output: string;
  readonly calibrate?: string;
  readonly evaluate?: string;
  readonly recipe?: RecipeName;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly samples?: number;
  readonly keep: readonly string[];
  readonly budget?: number;
  readonly weights?: "per_channel" | "per_tensor";
  readonly opset: number;
  readonly report?: string;
  readonly verify: "off" | "each" | "numeric";
  readonly json?: true;
}

/** Samples of the proof where no evaluation data was given: it must not take longer than the work that it proves. */
const PROOF_SAMPLES = 32;
/** `fast` is to be no slower than the quickest tool there is. */
const FAST_PROOF_SAMPLES = 16;
const RANDOM_SAMPLES = 16;
const RANDOM = "random values";
/** Time for each latency. */
const LATENCY_MS = 60;

const firstOf = (slice: DataRef["slice"], count: number): readonly [number, number] => {
  const [from, to] = slice ?? [0, Number.POSITIVE_INFINITY];
  return [from, Math.min(to, from + count)];
};

/** Shape of one sample of a model with one float input and no free dimension but the first. */
function sampleShape(graph: Graph): readonly number[] | null {
  const t = graph.inputs[0]?.type;
  if (graph.inputs.length !== 1 || t?.kind !== "tensor" || t.elem !== "f32" || t.shape === null || t.shape.length < 2) return null;
  if (t.shape[0] === 0) return null;
  const sample = t.shape.slice(1);
  return sample.every((d): d is number => typeof d === "number") ? sample : null;
}

export function addQuantize(program: Command): void {
  program
    .command("quantize")
    .description("quantize a model to INT8: the one-liner over the same pipeline as a plan")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .requiredOption("-o, --output <file>", "ONNX file to write")
    .option("--calibrate <data>", "FILE.cplan#NAME, a folder of images, or .npy/.npz with the sample as first axis")
    .option("--evaluate <data>", "labelled or unlabelled data for the proof; calibration data where absent")
    .addOption(
      new Option("--recipe <name>", "how weights and activations are quantized; accurate where there is calibration data").choices(
        Object.keys(recipes),
      ),
    )
    .addOption(new Option("--samples <n>", "calibrate on the first n samples").argParser(wholeNumber("--samples", 1, 1e9)))
    .addOption(new Option("--mean <list>", "per channel, for a folder of images (pixels are scaled to 0..1 first)").argParser(numbers("--mean")))
    .addOption(new Option("--std <list>", "per channel, for a folder of images").argParser(numbers("--std")))
    .addOption(new Option("--keep <pattern>", "ops that stay in float, by name; may be repeated").argParser(collect).default([], "none"))
    .addOption(new Option("--budget <seconds>", "time for the search of recipe best (default 120)").argParser(wholeNumber("--budget", 1, 1e7)))
    .addOption(new Option("--weights <scales>", "one scale a channel or one a tensor").choices(["per_channel", "per_tensor"]))
    .addOption(new Option("--opset <n>", "opset of the file").argParser(wholeNumber("--opset", OLDEST_EXPORT, NEWEST_EXPORT)).default(17))
    .option("--report <file>", "also write the report (.html or .json)")
    .addOption(new Option("--verify <how>", "checks around passes").choices(["off", "each", "numeric"]).default("each"))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (path: string, o: QuantizeFlags) => {
      const recipe: RecipeName = o.recipe ?? (o.calibrate === undefined ? "dynamic" : "accurate");
      if (recipes[recipe].calibrates && o.calibrate === undefined)
        fail("CEC4006", {
          message: `the recipe ${recipe} needs calibration data`,
          help: "add --calibrate FILE.cplan#NAME, an image folder, or a .npy/.npz file; without data use --recipe dynamic or weights",
        });
      if (o.calibrate === undefined && o.recipe === undefined)
        note("no calibration data: weights and dynamic quantization only (--calibrate adds activations)");
      const { graph } = await loadModel(path);
      const data = new Map<string, CheckedData>();
      const refer = async (text: string, key: string, limit?: number): Promise<DataRef> => {
        const found = await resolveData(text, graph, {
          ...(o.mean === undefined ? {} : { mean: o.mean }),
          ...(o.std === undefined ? {} : { std: o.std }),
        });
        const name = data.has(found.data.name) && data.get(found.data.name) !== found.data ? `${found.data.name} (${key})` : found.data.name;
        data.set(name, found.data);
        const [from, to] = found.slice ?? [0, Number.POSITIVE_INFINITY];
        return {
          name,
          slice: found.slice === null && limit === undefined ? null : [from, limit === undefined ? to : Math.min(to, from + limit)],
          span: commandLine,
        };
      };
      /** What was asked for; else the first calibration samples; else random values, which still show what happened to the arithmetic. */
      const proofData = async (): Promise<DataRef | null> => {
        if (o.evaluate !== undefined) return refer(o.evaluate, "evaluation");
        if (calibrate !== null) return { ...calibrate, slice: firstOf(calibrate.slice, recipe === "fast" ? FAST_PROOF_SAMPLES : PROOF_SAMPLES) };
        const shape = sampleShape(graph);
        if (shape === null) return null;
        data.set(RANDOM, {
          name: RANDOM,
          kind: "generated",
          options: { kind: "normal", shape, count: RANDOM_SAMPLES },
          baseDir: ".",
          span: commandLine,
        });
        return { name: RANDOM, slice: null, span: commandLine };
      };
      const calibrate = o.calibrate === undefined ? null : await refer(o.calibrate, "calibration", o.samples);
      const proof = await proofData();
      const labelled = o.evaluate !== undefined && (await hasLabels(data.get(proof?.name ?? "")));
      const plan: CheckedPlan = {
        name: `quantize ${basename(path)}`,
        span: commandLine,
        baseDir: ".",
        seed: 0,
        source: { kind: "file", format: "onnx", path, span: commandLine },
        calibrate: recipes[recipe].calibrates ? calibrate : null,
        evaluate:
          proof === null
            ? []
            : [
                {
                  metrics: proof.name === RANDOM ? ["cosine", "sqnr"] : [...(labelled ? ["top1"] : []), "agreement", "flips", "cosine"],
                  data: proof,
                  span: commandLine,
                },
              ],
        steps: recipeSteps(recipe, {
          ...(o.keep.length === 0 ? {} : { keep: o.keep }),
          ...(o.budget === undefined ? {} : { budget: o.budget }),
          ...(o.weights === undefined ? {} : { weights: o.weights }),
        }),
        requires: [],
        emits: [
          {
            kind: "onnx",
            path: resolve(o.output),
            options: { opset: o.opset, ...(recipe === "tensorrt" ? { profile: "tensorrt" } : {}) },
            span: commandLine,
          },
          ...(o.report === undefined ? [] : [{ kind: "report", path: resolve(o.report), options: {}, span: commandLine }]),
        ],
      };
      const file: CheckedFile = {
        path,
        diagnostics: [],
        models: new Map(),
        data,
        plans: new Map([[plan.name, plan]]),
        params: new Map(),
        sources: new Map(),
      };
      const bar = progress();
      const result = await build(file, plan, {
        out: dirname(resolve(o.output)),
        verify: o.verify,
        threads: o.threads,
        ...(o.engine === undefined ? {} : { engine: o.engine }),
        onProgress: bar.update,
        interruptible,
        writeReport: false,
        latencyBudgetMs: LATENCY_MS,
      }).finally(bar.stop);
      printDiagnostics(result.report.warnings);
      if (o.json === true) print(JSON.stringify(result.report, jsonNumber, 2));
      else {
        print(reportTable(result.report, style));
        for (const path of result.reports) print(`wrote ${path}`);
        for (const line of floatOps(result.report.decisions)) print(line);
      }
      if (result.broken.length > 0) throw new CecError([...result.broken], 2);
    });
}

/** What stays in float, grouped by reason. */
function floatOps(decisions: readonly { readonly action: string; readonly op: string; readonly kind: string; readonly reason: string }[]): string[] {
  const groups = new Map<string, string[]>();
  for (const d of decisions) if (d.action === "float") groups.set(`${d.kind}: ${d.reason}`, [...(groups.get(`${d.kind}: ${d.reason}`) ?? []), d.op]);
  return [...groups].map(([why, ops]) => style.dim(`  float: ${ops.length === 1 ? ops[0] : `${ops.length} ops`}, ${why}`));
}

async function hasLabels(d: CheckedData | undefined): Promise<boolean> {
  if (d === undefined) return false;
  return (await openData(d.name, d.kind as DataKindName, d.options, d.baseDir)).hasLabels;
}
