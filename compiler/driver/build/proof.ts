/** The proof: what was written is loaded, compared with the source in both engines, and timed. */
import type { CheckedFile, CheckedPlan } from "../../../dsl/index.js";
import { cpuInfo, nativeIsBuilt } from "../../../runtime-native/ts/index.js";
import {
  CecError,
  type Diagnostic,
  diagnostic,
  exportOnnx,
  type Feeds,
  fail,
  type Graph,
  type GraphSession,
  needsExternalData,
} from "../../core/index.js";
import type { Dataset } from "../data/index.js";
import type { Emitted } from "../emit/emit.js";
import { type ChosenEngine, chooseEngine, type EngineName } from "../engine/index.js";
import { loadOrt, ortSession, prepareOrt } from "../engine/ort.js";
import { type Evaluated, evaluate, oneSample } from "../evaluate.js";
import { type BoundData, bindData } from "../feeds.js";
import { measureLatency, syntheticFeeds } from "../latency.js";
import type { Metric } from "../metrics.js";
import type { LoadedModel } from "../model.js";
import type { BuildOptions } from "./index.js";
import { type BeforeAfter, engineLabel, type ReportEvaluation, type ReportLatency } from "./report.js";
import { openRef } from "./sources.js";

/** At least this share of predictions must be the same in both engines, in percent; one sample may always differ. */
const ENGINE_AGREEMENT = 99.5;

/** Samples for the look at ONNX Runtime's default mode on CPUs that saturate. */
const SATURATION_SAMPLES = 256;

export interface ProofInput {
  readonly file: CheckedFile;
  readonly plan: CheckedPlan;
  readonly source: LoadedModel;
  readonly reference: Graph;
  readonly graph: Graph;
  readonly engine: ChosenEngine;
  /** A statement of the plan trains: other predictions than the source's are what it is for. */
  readonly trained: boolean;
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
export async function prove(p: ProofInput): Promise<{ evaluations: ReportEvaluation[]; latency: ReportLatency[] }> {
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
    warnOfLoss(p, metrics, pair, bound.data.name);
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
function warnOfLoss({ warnings, trained }: ProofInput, metrics: readonly Metric[], { before, after }: BeforeAfter<Evaluated>, data: string): void {
  const flips = after.values.flips;
  if (flips == null || after.samples < LEAST_SAMPLES || flips / after.samples <= MANY_FLIPS) return;
  if (!metrics.some((m) => m === "top1" || m === "agreement" || m === "flips")) return;
  // Changed for the better, as training does.
  const [was, is] = [before.values.top1, after.values.top1];
  const known = was != null && is != null;
  if (known ? is >= was : trained) return;
  warnings.push(
    trained && known
      ? diagnostic("CEC7009", {
          severity: "warning",
          message: `training ended below its source: top1 on ${data} is ${is.toFixed(2)} %, the source's ${was.toFixed(2)} %`,
          why: `${flips} of ${after.samples} predictions changed, more for the worse than for the better`,
          help: "train longer or with a smaller `rate`, on data like that of the evaluation; `validate` keeps the best weights",
        })
      : diagnostic("CEC7009", {
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

/** Slower by less than this is noise. */
const SLOWER = 1.1;

/** A result that is bigger or slower than its source is said, not left to be found out. */
export function disappointments(size: { readonly before: number; readonly after: number }, latency: readonly ReportLatency[]): Diagnostic[] {
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
