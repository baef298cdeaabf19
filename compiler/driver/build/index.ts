/**
 * The build: source, passes, proof, outputs. Nothing appears under its final name before it was loaded in the runtime that will run it, compared with the
 * source on the evaluation data, and held against every requirement.
 */
import { cpus } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type { CheckedFile, CheckedPlan } from "../../../dsl/index.js";
import { drops, passes as passTable } from "../../../passes/index.js";
import { cpuInfo, nativeIsBuilt } from "../../../runtime-native/ts/index.js";
import {
  callOf,
  type Diagnostic,
  diagnostic,
  dumpInstrument,
  fail,
  type Graph,
  type Instrument,
  type PassCall,
  reproducerInstrument,
  runPipeline,
} from "../../core/index.js";
import type { Dataset } from "../data/index.js";
import type { Emitted } from "../emit/emit.js";
import { emits } from "../emit/index.js";
import { type ChosenEngine, chooseEngine, type EngineName } from "../engine/index.js";
import { ortVersion } from "../engine/ort.js";
import { bindData, calibrationOf } from "../feeds.js";
import { makeFolder, type StagedFolder, sha256File, sizeOf, stageFolder, writeFileAtomic, writing } from "../files.js";
import { modelCost } from "../inspect.js";
import { passOf, stepCalls } from "../language.js";
import { type LoadedModel, onnxBytes } from "../model.js";
import { optionsOf, type Search, searchInt8 } from "../search.js";
import { checkpointNames } from "../train/checkpoint-names.js";
import { createTrainer } from "../train/trainer.js";
import { version } from "../version.js";
import { disappointments, prove } from "./proof.js";
import type { BuildReport, ReportFile } from "./report.js";
import { broken, judgeAll } from "./requirements.js";
import { dataSource, findModels, modelSource, openRef, planSource } from "./sources.js";

export { choosePlan, dataSource, openRef, planSource } from "./sources.js";

export interface BuildOptions {
  /** Folder that relative paths of outputs are meant from. */
  readonly out: string;
  readonly verify?: "off" | "each" | "numeric";
  /** `all`, `changed`, or names of passes. */
  readonly dumpIr?: string;
  readonly dumpDir?: string;
  readonly stopAfterPatch?: number;
  readonly engine?: EngineName;
  readonly threads?: number;
  readonly signal?: AbortSignal | null;
  /**
   * Called when a search of the recipe `best` or a training begins; `done` is called at its end. `signal` ends a search, and the build goes on with the best so far;
   * it ends a training with a checkpoint, and the build with CEC1005.
   */
  readonly interruptible?: (says: string) => { readonly signal: AbortSignal; done(): void };
  readonly onProgress?: (stage: string, fraction: number, what: string) => void;
  /** Time for each latency, per session. Default 500 ms. */
  readonly latencyBudgetMs?: number;
  /** Writes `out/report.json`. Default true. */
  readonly writeReport?: boolean;
}

export interface BuildResult {
  readonly report: BuildReport;
  readonly graph: Graph;
  /** Reports that were written. */
  readonly reports: readonly string[];
  /** Requirements that do not hold; the files were not put into place then. */
  readonly broken: readonly Diagnostic[];
}

/** Every build starts from a cleaned graph: shapes known, constants folded. */
const first = callOf(passTable.get("canonicalize"));

const withoutDropout = callOf(passTable.get("remove_identity"));

/**
 * A plan that requires a latency of our engine lets measured times decide what runs on INT8, unless it says otherwise. Statements that train have a checkpoint each.
 */
function settledOptions(plan: CheckedPlan, s: CheckedPlan["steps"][number], checkpoint: string | null): Readonly<Record<string, unknown>> {
  if (checkpoint !== null) return { ...s.options, checkpoint };
  const timed = plan.requires.some((r) => r.kind === "latency" && r.engine === "native");
  const { mode = "int8", placement } = s.options;
  return timed && s.name === "quantize" && mode === "int8" && placement === undefined ? { ...s.options, placement: "measured" } : s.options;
}

/** Of each step, where it trains. */
const checkpointsOf = (plan: CheckedPlan) => checkpointNames(plan.steps, (s) => passOf(s.name, s.plugin));

/** The passes of a plan. Dropout stays in the model until the last statement that trains. */
export function planCalls(plan: CheckedPlan): PassCall[] {
  const checkpoints = checkpointsOf(plan);
  const calls = stepCalls(plan.steps.map((s, i) => ({ ...s, options: settledOptions(plan, s, checkpoints[i] ?? null) })));
  const trained = checkpoints.findLastIndex((c) => c !== null) + 1;
  if (trained === 0) return [first, ...calls];
  return [{ ...first, options: { keep_dropout: true } }, ...calls.slice(0, trained), withoutDropout, ...calls.slice(trained)];
}

export async function build(file: CheckedFile, plan: CheckedPlan, options: BuildOptions): Promise<BuildResult> {
  const started = performance.now();
  const { threads = 1, signal = null, onProgress } = options;
  // Before the work, not after it.
  makeFolder(options.out);
  findModels(plan);
  const warnings: Diagnostic[] = [];
  const source = await planSource(file, plan);
  warnings.push(...untrainedDropout(plan, source.graph));
  const cost = modelCost(source.graph);
  const calibration = plan.calibrate === null ? null : bindData(await openRef(file, plan.calibrate), source.graph);

  // The source as our engine runs it: shape subgraphs folded, values as they were.
  const reference = source.graph.clone();
  await runPipeline(reference, [first], { verify: "off", seed: plan.seed });
  const engine = await chooseEngine(reference, options.engine, threads);
  if (engine.note !== null) {
    warnings.push(diagnostic("CEC6002", { severity: "warning", message: engine.note }));
  }

  const { calls, search } = await settled(source.graph, plan, calibration?.data ?? null, engine, options);
  const graph = source.graph.clone();
  const result = await runPipeline(graph, calls, {
    seed: plan.seed,
    verify: options.verify ?? "each",
    executor: engine.executor,
    calibration: calibration === null ? null : calibrationOf(calibration),
    models: modelSource(plan),
    trainer: createTrainer({
      source: (reference) => dataSource(file, reference),
      out: options.out,
      threads,
      ...(options.interruptible === undefined ? {} : { interruptible: options.interruptible }),
    }),
    instruments: instruments(options, plan.seed),
    plugins: new Set(plan.steps.filter((s) => s.plugin !== undefined).map((s) => passOf(s.name, s.plugin).name)),
    signal,
    ...(options.stopAfterPatch === undefined ? {} : { stopAfterPatch: options.stopAfterPatch }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  warnings.push(...result.warnings);

  const staged: { folder: StagedFolder; final: string; kind: string; opset?: number; open?: Emitted["open"] }[] = [];
  try {
    for (const e of plan.emits) {
      const declared = emits.get(e.kind);
      if (declared?.write === undefined || result.stopped) continue;
      const final = isAbsolute(e.path) ? e.path : resolve(options.out, e.path);
      if (options.writeReport !== false && final === resolve(options.out, "report.json"))
        fail("CEC2007", {
          message: "an output has the name of the build's own report",
          why: `${final} is written by every build`,
          help: "choose another name",
          span: e.span,
        });
      const folder = stageFolder(final);
      staged.push({ folder, final, kind: e.kind });
      const warn = (message: string): number => warnings.push(diagnostic("CEC3012", { severity: "warning", message }));
      const parsed = declared.options.parse({ ...e.options, path: e.path });
      const written = await writing(final, () => declared.write?.({ graph, staged: folder, name: basename(final), warn }, parsed));
      Object.assign(staged.at(-1) as object, written);
    }
    const models = staged.filter((s) => s.kind !== "cir");
    const after = models[0] === undefined ? onnxBytes(graph) : folderBytes(models[0].folder);

    const trained = checkpointsOf(plan).some((c) => c !== null);
    const proof = await prove({ file, plan, source, reference, graph, engine, trained, staged, options, warnings });
    const measured = {
      graph,
      size: { before: source.bytes, after },
      evaluations: proof.evaluations,
      latency: proof.latency,
      opset: staged.find((s) => s.kind === "onnx")?.opset ?? null,
    };
    warnings.push(...disappointments(measured.size, proof.latency));
    const requirements = judgeAll(plan.requires, measured);
    const faults = broken(plan.requires, requirements);
    const holds = faults.length === 0;
    const outputs = await Promise.all(staged.flatMap((s) => filesOf(s)));
    const report: BuildReport = {
      cec: version,
      plan: {
        file: file.path,
        name: plan.name,
        seed: plan.seed,
        params: Object.fromEntries([...file.params.values()].map((p) => [p.name, p.value])),
      },
      machine: {
        cpu: cpus()[0]?.model.trim() ?? "unknown",
        isa: nativeIsBuilt() ? cpuInfo().isa : "none",
        threads,
        node: process.version,
        onnxruntime: await ortVersion(),
      },
      source: { ...(await sourceFile(source)), parameters: cost.parameters, macs: cost.macs },
      outputs,
      size: { ...measured.size, ratio: after / source.bytes },
      evaluations: proof.evaluations,
      latency: proof.latency,
      passes: result.passes,
      decisions: result.decisions,
      search,
      warnings,
      requirements,
      holds,
      calibrationSamples: calibration?.data.size ?? 0,
      seconds: (performance.now() - started) / 1000,
      peakMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    };
    // Reports before models: a model never appears without the report that a plan asks for.
    const reports: string[] = [];
    const writeReport = (path: string, text: string): void => {
      writeFileAtomic(path, text);
      reports.push(path);
    };
    for (const e of plan.emits) {
      const declared = emits.get(e.kind);
      if (declared?.text !== undefined) writeReport(isAbsolute(e.path) ? e.path : resolve(options.out, e.path), declared.text(report, e.path));
    }
    if (options.writeReport !== false) writeReport(join(options.out, "report.json"), `${JSON.stringify(report, jsonNumber, 2)}\n`);
    if (holds) for (const s of staged) s.folder.commit();
    return { report, graph, reports, broken: faults };
  } finally {
    for (const s of staged) s.folder.discard();
  }
}

/** A plan's own clean-up takes dropout out of the graph before it is trained: that is said. */
function untrainedDropout(plan: CheckedPlan, source: Graph): Diagnostic[] {
  const dropped = source.opsOf("dropout").filter(drops);
  const cleaned = plan.steps.findIndex((s) => ["canonicalize", "remove_identity"].includes(s.name) && s.options["keep_dropout"] !== true);
  const training = plan.steps.find((s, i) => s.data.length > 0 && cleaned >= 0 && i > cleaned);
  if (dropped.length === 0 || training === undefined) return [];
  return [
    diagnostic("CEC4033", {
      severity: "warning",
      message: `\`${training.name}\` trains without the dropout of the model (${dropped.length} op${dropped.length === 1 ? "" : "s"})`,
      why: `\`${plan.steps[cleaned]?.name}\` before it takes dropout out, as for inference`,
      help: `write \`${plan.steps[cleaned]?.name} { keep_dropout: true }\``,
      span: training.span,
    }),
  ];
}

/** The plan's passes; where a step has the recipe `best`, with the settings that a search finds. */
async function settled(
  source: Graph,
  plan: CheckedPlan,
  data: Dataset | null,
  engine: ChosenEngine,
  o: BuildOptions,
): Promise<{ readonly calls: readonly PassCall[]; readonly search: Search | null }> {
  const calls = planCalls(plan);
  const at = calls.findIndex((c) => c.pass === passTable.get("quantize") && c.options["recipe"] === "best");
  const call = calls[at];
  if (call === undefined || data === null || data.size === 0) return { calls, search: null };
  const stop = o.interruptible?.("the search ends, and the best so far is built");
  const search = await searchInt8({
    graph: source,
    before: calls.slice(0, at),
    quantize: call.pass,
    options: call.options,
    data,
    engine,
    seed: plan.seed,
    budgetSeconds: Number(call.options["budget"] ?? 120),
    state: join(o.out, `${plan.name.replaceAll(/[^\w.-]+/g, "-")}.search.json`),
    stop: stop?.signal ?? null,
    onProgress: (f, what) => o.onProgress?.("search", f, what),
  }).finally(() => stop?.done());
  const found = optionsOf(call.options, search.best.settings);
  return { calls: calls.map((c, i) => (i === at ? { ...c, options: found } : c)), search };
}

/** JSON has no infinity: an exact match has no finite SQNR. */
export const jsonNumber = (_: string, v: unknown): unknown => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v);

function instruments(o: BuildOptions, seed: number): Instrument[] {
  const folder = o.dumpDir ?? join(o.out, "ir");
  const write =
    (base: string) =>
    (name: string, data: string | Uint8Array): void =>
      writeFileAtomic(join(base, name), data);
  return [...(o.dumpIr === undefined ? [] : [dumpInstrument(o.dumpIr, write(folder))]), reproducerInstrument(write(o.out), { seed })];
}

const folderBytes = (folder: StagedFolder): number => folder.files().reduce((n, f) => n + sizeOf(f), 0);

const filesOf = (s: { readonly folder: StagedFolder; readonly final: string; readonly kind: string; readonly opset?: number }) =>
  s.folder.files().map(async (f) => ({
    kind: s.kind,
    path: join(dirname(s.final), basename(f)),
    bytes: sizeOf(f),
    sha256: await sha256File(f),
    ...(s.opset === undefined ? {} : { opset: s.opset }),
  }));

async function sourceFile(source: LoadedModel): Promise<ReportFile> {
  const path = source.path.split("#")[0] as string;
  return { path: source.path, bytes: source.bytes, sha256: await sha256File(path) };
}
