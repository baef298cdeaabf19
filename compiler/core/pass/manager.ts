/**
 * The pass manager: checks that passes chain, runs them, verifies the graph around each, numbers patches, and keeps statistics and the decision log.
 * Dumps, numeric checks and reproducers are instruments (`instruments.ts`) that see the graph before and after each pass.
 */
import { CecError, type Code, type Diagnostic, diagnostic, fail, isCode, suggest } from "../diagnostics/index.js";
import type { Graph, Level, Op } from "../ir/graph.js";
import { hashGraph } from "../ir/hash.js";
import type { PassLine } from "../ir/parse.js";
import type { Blob } from "../ir/tensor.js";
import { verifyGraph } from "../ir/verify.js";
import { randomFrom, streamOf } from "../random.js";
import type { Decision, ModelSource, PassCall, PassContext, PassDefinition } from "./define.js";
import type { CalibrationSource, Executor } from "./executor.js";
import { numericInstrument } from "./instruments.js";
import { createRewriter, type PatchRecord, StopAfterPatch } from "./rewrite.js";
import type { Trainer } from "./trainer.js";

/** One pass of a flat pipeline. */
export interface PassStep {
  readonly pass: PassDefinition;
  /** As the pass's schema parsed them. */
  readonly options: unknown;
  /** Place in the pipeline, from 1. */
  readonly index: number;
}

/** Sees each pass. `before` may keep a copy; both may throw to end the build. */
export interface Instrument {
  readonly name: string;
  before?(graph: Graph, step: PassStep): void | Promise<void>;
  /** `changed` is false when the pass left the graph as it was, types and annotations included. */
  after?(graph: Graph, step: PassStep, changed: boolean): void | Promise<void>;
  /** The pass, the verifier or an instrument after it failed. The result is added to the error as a note (path of a reproducer). */
  failed?(graph: Graph, step: PassStep, error: unknown): string | undefined;
}

export interface PipelineOptions {
  readonly seed?: number;
  /**
   * `off`: nothing; `each`: the verifier before the first and after each pass; `numeric`: also runs the graph before and after each pass that keeps values,
   * which takes `executor` and `calibration`. Default `each`.
   */
  readonly verify?: "off" | "each" | "numeric";
  readonly instruments?: readonly Instrument[];
  readonly executor?: Executor | null;
  readonly trainer?: Trainer | null;
  readonly models?: ModelSource | null;
  readonly calibration?: CalibrationSource | null;
  /** Ends the pipeline right after the patch of this number (from 1); 0 runs nothing. */
  readonly stopAfterPatch?: number;
  readonly signal?: AbortSignal | null;
  readonly onProgress?: (pass: string, fraction: number, what: string) => void;
  /** Names of passes that came from a plug-in: their exceptions are the plug-in's, not ours. */
  readonly plugins?: ReadonlySet<string>;
  /** Place of the first pass in the pipeline that this run is a part of: reproducers replay a later pass with the random numbers that it had. Default 1. */
  readonly firstIndex?: number;
}

export interface PassReport {
  readonly name: string;
  /** Time in the pass itself, without verifier and instruments. */
  readonly ms: number;
  readonly patches: number;
  readonly statistics: Readonly<Record<string, number>>;
  readonly changed: boolean;
}

export interface PipelineResult {
  readonly graph: Graph;
  readonly passes: readonly PassReport[];
  readonly patches: readonly PatchRecord[];
  readonly decisions: readonly Decision[];
  readonly warnings: readonly Diagnostic[];
  /** True when `stopAfterPatch` ended the pipeline early. */
  readonly stopped: boolean;
}

const takes = (pass: PassDefinition): readonly Level[] => (typeof pass.from === "string" ? [pass.from] : pass.from);

/** Parses options against the pass's schema; throws CEC2006 in the terms of the pass. */
export function parseOptions(pass: PassDefinition, options: unknown): unknown {
  const parsed = pass.options.safeParse(options ?? {});
  if (parsed.success) return parsed.data;
  return fail("CEC2006", {
    message: `pass ${pass.name}: ${parsed.error.issues.map((i) => `${i.path.length === 0 ? "options" : `\`${i.path.join(".")}\``}: ${i.message}`).join("; ")}`,
    help: `see the options of ${pass.name} in docs/reference`,
  });
}

/** Statements may stand for statements; more than this is a pass that expands to itself. */
const MAX_EXPANSION = 16;

/** Replaces statements that stand for several passes by those, and parses all options. */
export function flatten(calls: readonly PassCall[], firstIndex = 1): PassStep[] {
  const steps: PassStep[] = [];
  const visit = (call: PassCall, path: readonly string[]): void => {
    if (path.length > MAX_EXPANSION) {
      fail("CEC9001", { message: `pass ${path[0]} expands without end`, why: `${path.slice(0, 4).join(" → ")} → …` });
    }
    const options = parseOptions(call.pass, call.options);
    if (call.pass.expand === undefined) steps.push({ pass: call.pass, options, index: firstIndex + steps.length });
    else for (const inner of call.pass.expand(options)) visit(inner, [...path, call.pass.name]);
  };
  for (const call of calls) visit(call, []);
  return steps;
}

/** Checks that each pass takes the level that the one before gives; gives the last level. Throws CEC4004, naming both. */
export function checkLevels(start: Level, steps: readonly PassStep[]): Level {
  let level = start;
  let giver: string | undefined;
  for (const { pass } of steps) {
    const wanted = takes(pass);
    if (!wanted.includes(level)) {
      const givers = steps.filter((s) => s.pass.to !== "same" && wanted.includes(s.pass.to)).map((s) => s.pass.name);
      fail("CEC4004", {
        message: `pass ${pass.name} cannot stand after ${giver ?? "the source"}`,
        why: `${pass.name} takes graphs of level ${wanted.join(" or ")}, and ${giver ?? "the source"} gives level ${level}`,
        help:
          givers.length > 0
            ? `put ${pass.name} after ${givers.join(" or ")}`
            : giver !== undefined && wanted.includes(start)
              ? `put ${pass.name} before ${giver}`
              : `a pass that gives level ${wanted[0]} must stand before it`,
      });
    }
    if (pass.to !== "same") {
      level = pass.to;
      giver = pass.name;
    }
  }
  return level;
}

/**
 * Pass calls by name, as `cec opt --pass` and RUN lines give them.
 * @throws CecError CEC2004 for a name that the registry lacks
 */
export function resolvePasses(lines: readonly PassLine[], registry: ReadonlyMap<string, PassDefinition>): PassCall[] {
  return lines.map(({ name, options }) => {
    // Plans write names with `_`, declarations with `-`; a registry may hold either.
    const pass = registry.get(name) ?? registry.get(name.replaceAll("_", "-")) ?? registry.get(name.replaceAll("-", "_"));
    return pass === undefined
      ? fail("CEC2004", { message: `there is no pass \`${name}\``, help: suggest(name, registry.keys()) })
      : { pass, options };
  });
}

const opLabel = (op: Op): string => op.name || (op.outputs[0]?.name ?? "");

/**
 * Runs a pipeline on a graph, in place.
 *
 * @throws CecError what a pass itself rejects; CEC4004 when levels do not chain; CEC2006 for options; CEC4003 when the source breaks a rule; CEC9002
 * when the verifier fails after one of our passes, CEC4009 after a plug-in's; CEC9001 for an exception of ours, CEC4009 for a plug-in's; CEC4005 from the
 * numeric check; CEC1005 when `signal` aborts. Errors name the pass; notes tell of reproducers.
 *
 * @example
 * const { passes, decisions } = await runPipeline(graph, [{ pass: foldBatchNorm, options: {} }], { seed: 1 });
 */
export async function runPipeline(graph: Graph, calls: readonly PassCall[], options: PipelineOptions = {}): Promise<PipelineResult> {
  const steps = flatten(calls, options.firstIndex);
  checkLevels(graph.level, steps);
  const { verify = "each", signal = null } = options;
  const instruments = [...(options.instruments ?? []), ...(verify === "numeric" ? [numericOf(options)] : [])];
  const passes: PassReport[] = [];
  const patches: PatchRecord[] = [];
  const decisions: Decision[] = [];
  const warnings: Diagnostic[] = [];
  let stopped = options.stopAfterPatch === 0;
  // Blobs are told apart by identity here: hashing the bytes of new weights after each pass would cost more than many passes.
  const blobIds = new Map<Blob, string>();
  const blob = (b: Blob): string => {
    const id = blobIds.get(b) ?? String(blobIds.size);
    blobIds.set(b, id);
    return id;
  };
  const fingerprint = (): string => hashGraph(graph, { names: true, blob });

  if (verify !== "off") {
    const faults = verifyGraph(graph);
    if (faults.length > 0)
      throw new CecError([diagnostic("CEC4003", { message: "the graph breaks a rule of the IR before the first pass" }), ...faults]);
  }
  let print = fingerprint();
  for (const step of steps) {
    if (stopped) break;
    const { pass } = step;
    checkAborted(signal, pass);
    for (const i of instruments) await i.before?.(graph, step);
    const statistics: Record<string, number> = Object.fromEntries(Object.keys(pass.statistics).map((k) => [k, 0]));
    const first = patches.length;
    const context: PassContext<unknown, string> = {
      graph,
      options: step.options,
      rewrite: createRewriter(graph, {
        pass: pass.name,
        next: () => patches.length + 1,
        done(record) {
          patches.push(record);
          if (record.number === options.stopAfterPatch) throw new StopAfterPatch();
        },
      }),
      count(name, by = 1) {
        if (statistics[name] === undefined) throw new Error(`pass ${pass.name} declares no statistic ${name}`);
        statistics[name] += by;
      },
      decide(op, action, reason, figure) {
        decisions.push({ pass: pass.name, op: opLabel(op), kind: op.kind, action, reason, ...(figure === undefined ? {} : { figure }) });
      },
      warn(code, message, at) {
        // A plug-in may give any text as a code.
        const known: Code = isCode(code) ? code : "CEC4009";
        warnings.push(diagnostic(known, { severity: "warning", message, ...(at === undefined ? {} : { at }) }));
      },
      random: randomFrom(options.seed ?? 0, streamOf(`${step.index}:${pass.name}`)),
      executor: options.executor ?? null,
      calibration: options.calibration ?? null,
      trainer: options.trainer ?? null,
      models: options.models ?? null,
      progress: (fraction, what) => options.onProgress?.(pass.name, fraction, what),
      signal,
    };
    try {
      const started = performance.now();
      try {
        await pass.run?.(context);
      } catch (error) {
        if (!(error instanceof StopAfterPatch)) throw error;
        stopped = true;
      }
      const ms = performance.now() - started;
      graph.pipeline.push(stopped ? `${pass.name}(stopped)` : pass.name);
      // A stopped pass has not given its level yet, and may stand between two states that the verifier takes: the patch is what is looked for.
      if (!stopped) {
        if (pass.to !== "same") graph.level = pass.to;
        if (verify !== "off") throwFaults(verifyGraph(graph), pass, options);
      }
      const now = fingerprint();
      const changed = now !== print;
      print = now;
      passes.push({ name: pass.name, ms, patches: patches.length - first, statistics, changed });
      if (!stopped) for (const i of instruments) await i.after?.(graph, step, changed);
    } catch (error) {
      throw explain(error, step, options, instruments, graph);
    }
  }
  return { graph, passes, patches, decisions, warnings, stopped };
}

function numericOf(options: PipelineOptions): Instrument {
  const { executor, calibration } = options;
  if (executor == null || calibration == null) {
    return fail("CEC4006", {
      message: "`--verify=numeric` needs samples and an engine to run them on",
      why: executor == null ? "no engine was given" : "the plan names no calibration data",
      help: "add `calibrate DATA` to the plan, or `--calibrate` to the command",
    });
  }
  return numericInstrument(executor, calibration);
}

function checkAborted(signal: AbortSignal | null, pass: PassDefinition): void {
  if (signal?.aborted) fail("CEC1005", { message: `stopped before pass ${pass.name}` });
}

function throwFaults(faults: readonly Diagnostic[], pass: PassDefinition, options: PipelineOptions): void {
  if (faults.length === 0) return;
  const plugin = options.plugins?.has(pass.name) === true;
  const head = diagnostic(plugin ? "CEC4009" : "CEC9002", {
    message: `the graph breaks a rule of the IR after pass ${pass.name}`,
    why: `${faults.length} fault${faults.length === 1 ? "" : "s"} found; the first: ${faults[0]?.message}`,
    help: plugin ? "the fault is in the plug-in's code" : "please report this with the reproducer",
  });
  throw new CecError([head, ...faults]);
}

/** What the user or the data is at fault for passes through; a plug-in's and our own faults get the pass's name and notes of reproducers. */
function explain(error: unknown, step: PassStep, options: PipelineOptions, instruments: readonly Instrument[], graph: Graph): unknown {
  if (options.signal?.aborted) return new CecError([diagnostic("CEC1005", { message: `stopped in pass ${step.pass.name}` })]);
  const plugin = options.plugins?.has(step.pass.name) === true;
  const first = error instanceof CecError ? error.diagnostics[0] : undefined;
  const rejected = error instanceof CecError && error.exitCode !== 70 && !["CEC4003", "CEC4005", "CEC4009"].includes(first?.code ?? "");
  if (rejected) return error;
  const notes = instruments.flatMap((i) => note(i, graph, step, error)).map((message) => diagnostic("CEC9002", { severity: "note", message }));
  if (error instanceof CecError) return new CecError([...error.diagnostics, ...notes], error.exitCode);
  const what = error instanceof Error ? error.message : String(error);
  const where =
    error instanceof Error
      ? error.stack
          ?.split("\n")
          .find((l) => l.trimStart().startsWith("at "))
          ?.trim()
      : undefined;
  return new CecError([
    diagnostic(plugin ? "CEC4009" : "CEC9001", {
      message: `pass ${step.pass.name} failed: ${what}`,
      ...(where === undefined ? {} : { why: where }),
      help: plugin ? "the fault is in the plug-in's code" : "please report this with the plan and, if possible, the reproducer",
    }),
    ...notes,
  ]);
}

/** A reproducer that cannot be written (disk full) must not hide the fault that it is for. */
function note(instrument: Instrument, graph: Graph, step: PassStep, error: unknown): string[] {
  try {
    const text = instrument.failed?.(graph, step, error);
    return text === undefined ? [] : [text];
  } catch (e) {
    return [`${instrument.name} could not be written: ${e instanceof Error ? e.message : String(e)}`];
  }
}

/** Passes with their times, patches and statistics as aligned text lines, for `--json`-less terminals and logs. */
export function formatPasses(passes: readonly PassReport[]): string {
  const rows = passes.map((p) => {
    const statistics = Object.entries(p.statistics)
      .filter(([, n]) => n !== 0)
      .map(([k, n]) => `${k}=${n}`)
      .join(" ");
    return [p.name, `${p.ms.toFixed(1)} ms`, `${p.patches} patch${p.patches === 1 ? "" : "es"}`, statistics] as const;
  });
  const widths = [0, 1, 2].map((c) => Math.max(0, ...rows.map((r) => (r[c] as string).length)));
  return rows
    .map((r) =>
      `${r[0].padEnd(widths[0] as number)}  ${r[1].padStart(widths[1] as number)}  ${r[2].padStart(widths[2] as number)}  ${r[3]}`.trimEnd(),
    )
    .join("\n");
}
