/**
 * The build: source, passes, proof, outputs. Nothing appears under its final name before it was loaded in the runtime that will run it, compared with the
 * source on the evaluation data, and held against every requirement.
 */
import { existsSync } from "node:fs";
import { cpus } from "node:os";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { type CheckedFile, type CheckedPlan, type DataRef, parseDataReference } from "../../../dsl/index.js";
import { passes as passTable } from "../../../passes/index.js";
import { cpuInfo, nativeIsBuilt } from "../../../runtime-native/ts/index.js";
import {
  CecError,
  type Diagnostic,
  diagnostic,
  dumpInstrument,
  exportOnnx,
  type Feeds,
  fail,
  type Graph,
  type GraphSession,
  type Instrument,
  type ModelSource,
  needsExternalData,
  type PassCall,
  placed,
  reproducerInstrument,
  runPipeline,
  suggest,
} from "../../core/index.js";
import type { DataKindName, Dataset } from "../data/index.js";
import type { Emitted } from "../emit/emit.js";
import { emits } from "../emit/index.js";
import { type ChosenEngine, chooseEngine, type EngineName } from "../engine/index.js";
import { loadOrt, ortSession, ortVersion, prepareOrt } from "../engine/ort.js";
import { type Evaluated, evaluate, oneSample } from "../evaluate.js";
import { type BoundData, bindData, calibrationOf } from "../feeds.js";
import { makeFolder, type StagedFolder, sha256File, sizeOf, stageFolder, writeFileAtomic, writing } from "../files.js";
import { modelCost } from "../inspect.js";
import { passOf } from "../language.js";
import { measureLatency, syntheticFeeds } from "../latency.js";
import type { Metric } from "../metrics.js";
import { elaborateModel, type LoadedModel, loadModel, modelOf, onnxBytes } from "../model.js";
import { optionsOf, type Search, searchInt8 } from "../search.js";
import { type DataSource, openSource } from "../train/loader.js";
import { createTrainer } from "../train/trainer.js";
import { version } from "../version.js";
import { type BeforeAfter, type BuildReport, engineLabel, type ReportEvaluation, type ReportFile, type ReportLatency } from "./report.js";
import { broken, judgeAll } from "./requirements.js";

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
  readonly interruptible?: () => { readonly signal: AbortSignal; done(): void };
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
const first: PassCall = { pass: passTable.get("canonicalize") as PassCall["pass"], options: {} };

/** A plan that requires a latency of our engine lets measured times decide what runs on INT8, unless it says otherwise. */
function settledOptions(plan: CheckedPlan, s: CheckedPlan["steps"][number]): Readonly<Record<string, unknown>> {
  const timed = plan.requires.some((r) => r.kind === "latency" && r.engine === "native");
  const { mode = "int8", placement } = s.options;
  return timed && s.name === "quantize" && mode === "int8" && placement === undefined ? { ...s.options, placement: "measured" } : s.options;
}

export const planCalls = (plan: CheckedPlan): PassCall[] => [
  first,
  ...plan.steps.map((s): PassCall => ({ pass: passOf(s.name, s.plugin), options: settledOptions(plan, s) })),
];

export async function planSource(file: CheckedFile, plan: CheckedPlan): Promise<LoadedModel> {
  const { source } = plan;
  if (source.kind === "file") return placed(source.span, () => loadModel(source.path));
  const graph = await elaborateModel(file, source.model, source.args, plan.seed);
  return modelOf(graph, `${file.path}#${source.model}`);
}

export async function openRef(file: CheckedFile, ref: DataRef): Promise<Dataset> {
  const d = file.data.get(ref.name);
  if (d === undefined) return fail("CEC2012", { message: `there is no data set \`${ref.name}\``, span: ref.span });
  return openSource({ name: ref.name, kind: d.kind as DataKindName, options: d.options, baseDir: d.baseDir, slice: ref.slice });
}

/** A data set by its name as text, as options of passes give it: `cifar10.train[0:512]`. */
export function dataSource(file: CheckedFile, reference: string): DataSource {
  const { name, slice } = parseDataReference(reference) ?? { name: reference, slice: null };
  const d = file.data.get(name);
  if (d === undefined)
    return fail("CEC2012", {
      message: `there is no data set \`${reference}\``,
      help: suggest(name, file.data.keys()) ?? `declared are ${[...file.data.keys()].join(", ") || "none"}`,
    });
  return { name, kind: d.kind as DataKindName, options: d.options, baseDir: d.baseDir, slice };
}

/** Models that passes of the plan name. */
function modelSource(plan: CheckedPlan): ModelSource {
  const spans = new Map(plan.steps.flatMap((s) => s.models.map((m) => [m.path, m.span])));
  return {
    async load(path) {
      const span = spans.get(path);
      const { graph, format } = span === undefined ? await loadModel(path) : await placed(span, () => loadModel(path));
      if (format === "model")
        fail("CEC1002", {
          message: `${path} has no trained weights`,
          help: "name the .onnx or .cir file that its training wrote",
          ...(span === undefined ? {} : { span }),
        });
      return graph;
    },
  };
}

/** Before the work, not after it: files that passes will read. */
function findModels(plan: CheckedPlan): void {
  for (const { path, span } of plan.steps.flatMap((s) => s.models))
    if (!existsSync(path.split("#")[0] as string))
      fail("CEC1002", { message: `there is no model at ${path}`, help: "paths are relative to the plan's file", span });
}

/** At least this share of predictions must be the same in both engines, in percent; one sample may always differ. */
const ENGINE_AGREEMENT = 99.5;

/** Samples for the look at ONNX Runtime's default mode on CPUs that saturate. */
const SATURATION_SAMPLES = 256;

export async function build(file: CheckedFile, plan: CheckedPlan, options: BuildOptions): Promise<BuildResult> {
  const started = performance.now();
  const { threads = 1, signal = null, onProgress } = options;
  // Before the work, not after it.
  makeFolder(options.out);
  findModels(plan);
  const warnings: Diagnostic[] = [];
  const source = await planSource(file, plan);
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

    const proof = await prove({ file, plan, source, reference, graph, engine, staged, options, warnings });
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
  const stop = o.interruptible?.();
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
  return { calls: calls.map((c, i) => (i === at ? { pass: c.pass, options: found } : c)), search };
}

/** Slower by less than this is noise. */
const SLOWER = 1.1;

/** A result that is bigger or slower than its source is said, not left to be found out. */
function disappointments(size: { readonly before: number; readonly after: number }, latency: readonly ReportLatency[]): Diagnostic[] {
  const slow = latency.filter((l) => l.after.medianMs > SLOWER * l.before.medianMs);
  return [
    ...(size.after <= size.before
      ? []
      : [
          diagnostic("CEC7006", {
            severity: "warning",
            message: `the result is larger than its source: ${size.after} bytes, ${size.before} before`,
            why: "few of its weights could be compressed",
            help: "the decisions in the report say what stayed in float, and why",
          }),
        ]),
    ...slow.map((l) =>
      diagnostic("CEC7006", {
        severity: "warning",
        message: `the result is slower than its source in ${engineLabel[l.engine]} on this machine: ${(l.after.medianMs / l.before.medianMs).toFixed(2)}x`,
        why: `${l.before.medianMs.toFixed(2)} ms before, ${l.after.medianMs.toFixed(2)} ms after, medians of alternating runs`,
        help: "`require latency(…)` holds a plan to a bound; on other CPUs, above all with VNNI, INT8 gains more",
      }),
    ),
  ];
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

interface ProofInput {
  readonly file: CheckedFile;
  readonly plan: CheckedPlan;
  readonly source: LoadedModel;
  readonly reference: Graph;
  readonly graph: Graph;
  readonly engine: ChosenEngine;
  readonly staged: readonly { readonly kind: string; readonly open?: Emitted["open"] }[];
  readonly options: BuildOptions;
  readonly warnings: Diagnostic[];
}

/** The original in ONNX Runtime: the file itself, or what the model exports to. */
async function originalInOrt(source: LoadedModel, threads: number, exact = true): Promise<GraphSession> {
  const options = { threads, exact, role: "source" } as const;
  if (source.format === "onnx") return ortSession(source.path, options);
  if (needsExternalData(source.graph)) return prepareOrt(source.graph, [], options);
  return ortSession(exportOnnx(source.graph).bytes, options);
}

type Sessions = Record<"before" | "after", GraphSession>;

/** Runs `use` on the source and the result in one engine; `null` where the engine is not here. Both sessions end before the next ones begin. */
async function inEngine<T>(p: ProofInput, engine: EngineName, use: (s: Sessions) => Promise<T>): Promise<T | null> {
  const { source, reference, graph, staged, options } = p;
  const { threads = 1 } = options;
  const opened = (kind: string): Promise<GraphSession | null> | undefined => staged.find((s) => s.kind === kind)?.open?.(threads);
  const made: GraphSession[] = [];
  const keep = (s: GraphSession): GraphSession => {
    made.push(s);
    return s;
  };
  try {
    if (engine === "native") {
      if (p.engine.name !== "native") return null;
      const own = await chooseEngine(graph, options.engine, threads);
      if (own.name !== "native") return null;
      const before = keep(await p.engine.executor.prepare(reference));
      return await use({ before, after: keep((await opened("native")) ?? (await own.executor.prepare(graph))) });
    }
    if ((await loadOrt()) === null) return null;
    const original = await refusedByOrt(originalInOrt(source, threads));
    if ("why" in original) {
      p.warnings.push(
        diagnostic("CEC6012", {
          severity: "warning",
          message:
            p.engine.name === "ort"
              ? "no engine at hand runs the source model: the result is checked by its structure only"
              : "ONNX Runtime cannot load the source model: the result is compared in our engine only",
          why: original.why,
          help: "custom operators need a runtime that has them",
        }),
      );
      return null;
    }
    const before = keep(original);
    return await use({ before, after: keep((await opened("onnx")) ?? (await prepareOrt(graph, [], { threads }))) });
  } finally {
    for (const s of made) s.dispose();
  }
}

/** A session, or why ONNX Runtime does not take the model. */
async function refusedByOrt(session: Promise<GraphSession>): Promise<GraphSession | { readonly why: string }> {
  try {
    return await session;
  } catch (error) {
    if (error instanceof CecError && error.diagnostics[0]?.code === "CEC6012") return { why: error.diagnostics[0].why ?? error.message };
    throw error;
  }
}

/** Loads what was written and compares it with the source, in our engine and then in ONNX Runtime. */
async function prove(p: ProofInput): Promise<{ evaluations: ReportEvaluation[]; latency: ReportLatency[] }> {
  const { file, plan, graph, options, warnings } = p;
  const { signal = null, onProgress } = options;
  const output = graph.outputs[0]?.name;
  if (output === undefined) return { evaluations: [], latency: [] };
  const sets = await Promise.all(
    plan.evaluate.map(async (e) => {
      const bound = bindData(await openRef(file, e.data), graph);
      if (bound.data.size === 0) fail("CEC5002", { message: `data set ${bound.data.name} is empty`, span: e.data.span });
      return { bound, metrics: e.metrics as readonly Metric[] };
    }),
  );
  /** One entry a data set. */
  const run = (engine: EngineName) =>
    inEngine(p, engine, async (sessions) => {
      const results: { pair: BeforeAfter<Evaluated>; predictions: Int32Array }[] = [];
      for (const { bound } of sets) {
        const r = await evaluate(bound, sessions, {
          reference: "before",
          predictions: "after",
          output,
          signal,
          onProgress: (f, what) => onProgress?.(`evaluate, ${engineLabel[engine]}`, f, what),
        });
        const [before, after] = [r.results["before"] as Evaluated, r.results["after"] as Evaluated];
        if (after.nonFinite > 0)
          warnings.push(
            diagnostic("CEC4007", {
              severity: "warning",
              message: `${after.nonFinite} outputs of the result are NaN or infinite on ${bound.data.name} (${engineLabel[engine]}); the source has ${before.nonFinite}`,
            }),
          );
        results.push({ pair: { before, after }, predictions: r.predictions });
      }
      if (engine === "ort" && sets[0] !== undefined) await warnOfSaturation(p, sets[0].bound, sessions.after, output);
      return results;
    });
  const native = await run("native");
  const ort = await run("ort");
  (native ?? ort)?.forEach(({ pair }, i) => {
    const { bound, metrics } = sets[i] as (typeof sets)[number];
    warnOfLoss(warnings, metrics, pair, bound.data.name);
  });
  const evaluations = sets.map(({ bound, metrics }, i): ReportEvaluation => {
    const [n, o] = [native?.[i], ort?.[i]];
    return {
      data: bound.data.name,
      samples: bound.data.size,
      metrics,
      engines: { ...(n === undefined ? {} : { native: n.pair }), ...(o === undefined ? {} : { ort: o.pair }) },
      engineAgreement: n === undefined || o === undefined ? null : engineAgreement(bound.data, n.predictions, o.predictions),
    };
  });
  return { evaluations, latency: await latencies(p, native !== null, ort !== null, sets[0] === undefined ? null : await oneSample(sets[0].bound)) };
}

/** Share of changed predictions above which a build says so, whatever the plan requires. */
const MANY_FLIPS = 0.1;
/** Fewer samples tell nothing about shares. */
const LEAST_SAMPLES = 16;

/** Accuracy is never lost without a word: many changed predictions are a warning, once a data set. */
function warnOfLoss(warnings: Diagnostic[], metrics: readonly Metric[], { before, after }: BeforeAfter<Evaluated>, data: string): void {
  const flips = after.values.flips;
  if (flips == null || after.samples < LEAST_SAMPLES || flips / after.samples <= MANY_FLIPS) return;
  if (!metrics.some((m) => m === "top1" || m === "agreement" || m === "flips")) return;
  // Changed for the better, as training does.
  const [was, is] = [before.values.top1, after.values.top1];
  if (was != null && is != null && is >= was) return;
  warnings.push(
    diagnostic("CEC7009", {
      severity: "warning",
      message: `${flips} of ${after.samples} predictions on ${data} differ from the source's`,
      why: "what was done to the model changes more than rounding should",
      help: "cec analyze SOURCE RESULT --data … names the layers and what to change; recipe: accurate, more calibration samples or keep: [...] are the first things to try",
    }),
  );
}

/** Share of predictions that both engines give alike, in percent. Fails with CEC7002 where rounding cannot explain the difference. */
function engineAgreement(data: Dataset, native: Int32Array, ort: Int32Array): number {
  let differing = 0;
  for (let i = 0; i < native.length; i++) if (native[i] !== ort[i]) differing++;
  const percent = 100 * (1 - differing / Math.max(1, native.length));
  if (percent < ENGINE_AGREEMENT && differing > 1) {
    fail("CEC7002", {
      message: `our engine and ONNX Runtime disagree on ${differing} of ${native.length} predictions of the result on ${data.name}`,
      why: `they agree on ${percent.toFixed(2)} %, and ${ENGINE_AGREEMENT} % is the least that a build accepts`,
      help: "please report this with the plan; `--engine ort` builds with ONNX Runtime alone",
    });
  }
  return percent;
}

/**
 * On x86 without VNNI, ONNX Runtime's default INT8 kernels saturate: the same file then predicts something else than on other machines. Users are told
 * before they ship it.
 */
async function warnOfSaturation(p: ProofInput, bound: BoundData, exact: GraphSession, output: string): Promise<void> {
  if (!nativeIsBuilt() || cpuInfo().features.some((f) => /vnni/i.test(f)) || !p.graph.ops.some((op) => op.kind === "dequantize_linear")) return;
  const plain = await p.staged.find((s) => s.kind === "onnx")?.open?.(p.options.threads ?? 1, false);
  if (plain == null) return;
  try {
    const { results } = await evaluate(
      bound,
      { exact, plain },
      { reference: "exact", output, limit: SATURATION_SAMPLES, signal: p.options.signal ?? null },
    );
    const flips = results["plain"]?.values.flips ?? 0;
    const samples = results["plain"]?.samples ?? 1;
    if (flips / samples <= 1 - ENGINE_AGREEMENT / 100) return;
    p.warnings.push(
      diagnostic("CEC7005", {
        severity: "warning",
        message: `ONNX Runtime's default INT8 mode changes ${flips} of ${samples} predictions on this CPU`,
        why: "it has no VNNI, and ONNX Runtime's kernels for such CPUs add products in 16 bits, which saturate",
        help: "set the session option session.x64quantprecision to 1 (as cec does), or run the model in cec's engine",
      }),
    );
  } finally {
    plain.dispose();
  }
}

/** Latency of what is there, at batch 1 and as requirements ask. */
async function latencies(p: ProofInput, native: boolean, ort: boolean, sample: Feeds | null): Promise<ReportLatency[]> {
  const { plan, reference, graph, options, source, staged } = p;
  const wanted = new Map<string, { engine: EngineName; threads: number; batch: number }>();
  const want = (engine: EngineName, t: number, batch: number): unknown => wanted.set(`${engine} ${t} ${batch}`, { engine, threads: t, batch });
  const has = { native, ort } as const;
  for (const engine of ["native", "ort"] as const) if (has[engine]) want(engine, 1, 1);
  for (const r of plan.requires) if (r.kind === "latency" && has[r.engine as EngineName]) want(r.engine as EngineName, r.threads, r.batch);
  const out: ReportLatency[] = [];
  for (const w of wanted.values()) {
    if (options.signal?.aborted) fail("CEC1005", { message: "measuring was interrupted" });
    options.onProgress?.("latency", out.length / wanted.size, `${w.engine}, ${w.threads} threads`);
    const feeds = w.batch === 1 && sample !== null ? sample : syntheticFeeds(reference, w.batch, plan.seed);
    // What users get: ONNX Runtime with its own defaults.
    const prepare = async (which: "before" | "after"): Promise<GraphSession> => {
      if (w.engine === "native")
        return (await chooseEngine(which === "before" ? reference : graph, "native", w.threads)).executor.prepare(
          which === "before" ? reference : graph,
        );
      if (which === "before") return originalInOrt(source, w.threads, false);
      return (await staged.find((s) => s.kind === "onnx")?.open?.(w.threads, false)) ?? prepareOrt(graph, [], { threads: w.threads, exact: false });
    };
    const before = await prepare("before");
    const after = await prepare("after");
    try {
      const t = await measureLatency(
        { before: { session: before, feeds }, after: { session: after, feeds } },
        { budgetMs: options.latencyBudgetMs ?? 500 },
      );
      out.push({ ...w, before: t["before"] as ReportLatency["before"], after: t["after"] as ReportLatency["after"] });
    } finally {
      before.dispose();
      after.dispose();
    }
  }
  return out;
}

/** Picks a plan: the named one, or the only one. */
export function choosePlan(file: CheckedFile, name: string | undefined): CheckedPlan {
  const names = [...file.plans.keys()];
  if (name === undefined && names.length === 1) return file.plans.get(names[0] as string) as CheckedPlan;
  const plan = name === undefined ? undefined : file.plans.get(name);
  if (plan !== undefined) return plan;
  return fail("CEC2012", {
    message:
      name === undefined ? `${file.path} has ${names.length === 0 ? "no plan" : `${names.length} plans`}` : `${file.path} has no plan \`${name}\``,
    ...(names.length === 0 ? {} : { why: `it declares ${names.join(", ")}` }),
    help: names.length === 0 ? "declare one: `plan NAME { source … emit … }`" : "choose one with --plan NAME",
  });
}
