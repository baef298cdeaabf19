/**
 * The pass manager: checks that passes chain, runs them, verifies the graph around each, numbers patches, and keeps statistics and the decision log.
 * Dumps, numeric checks and reproducers are instruments (`instruments.ts`) that see the graph before and after each pass.
 */
import { CecError, type Code, type Diagnostic, diagnostic, fail, isCode } from "../diagnostics/index.js";
import type { Graph, Level } from "../ir/graph.js";
import { verifyGraph } from "../ir/verify.js";
import { randomFrom, streamOf } from "../random.js";
import type { Decision, PassCall, PassContext, PassDefinition } from "./define.js";
import type { CalibrationSource, Executor } from "./executor.js";
import { createRewriter, type PatchRecord, StopAfterPatch } from "./rewrite.js";

/** One pass of a flat pipeline. */
export interface PassStep {
  readonly pass: PassDefinition;
  readonly options: unknown;
  /** Place in the pipeline, from 1. */
  readonly index: number;
}

/** Sees each pass. `before` may keep a copy; both may throw to end the build. */
export interface Instrument {
  readonly name: string;
  before?(graph: Graph, step: PassStep): void | Promise<void>;
  after?(graph: Graph, step: PassStep, changed: boolean): void | Promise<void>;
  /** The pass, or the verifier after it, failed. The result is added to the error as a note (path of a reproducer). */
  failed?(graph: Graph, step: PassStep, error: unknown): string | undefined;
}

export interface PipelineOptions {
  readonly seed?: number;
  /** `off`: none; `each`: verifier after each pass. Numeric checking is an instrument. Default `each`. */
  readonly verify?: "off" | "each";
  readonly instruments?: readonly Instrument[];
  readonly executor?: Executor | null;
  readonly calibration?: CalibrationSource | null;
  /** Ends the pipeline after the patch of this number (from 1). */
  readonly stopAfterPatch?: number;
  readonly signal?: AbortSignal | null;
  readonly onProgress?: (pass: string, fraction: number, what: string) => void;
  /** Names of passes that came from a plug-in: their exceptions are the plug-in's, not ours. */
  readonly plugins?: ReadonlySet<string>;
}

export interface PassReport {
  readonly name: string;
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

/** Replaces statements that stand for several passes by those, and parses all options. */
export function flatten(calls: readonly PassCall[]): PassStep[] {
  const steps: PassStep[] = [];
  const visit = (call: PassCall, depth: number): void => {
    if (depth > 16) throw new Error(`pass ${call.pass.name} expands without end`);
    const options = parseOptions(call.pass, call.options);
    if (call.pass.expand === undefined) steps.push({ pass: call.pass, options, index: steps.length + 1 });
    else for (const inner of call.pass.expand(options)) visit(inner, depth + 1);
  };
  for (const call of calls) visit(call, 0);
  return steps;
}

/** Checks that each pass takes the level that the one before gives. */
export function checkLevels(start: Level, steps: readonly PassStep[]): Level {
  let level = start;
  let before: string | undefined;
  for (const { pass } of steps) {
    if (!takes(pass).includes(level)) {
      fail("CEC4004", {
        message: `pass ${pass.name} cannot run here`,
        why: `it takes graphs of level ${takes(pass).join(" or ")}, and ${before === undefined ? "the source" : `${before}`} gives level ${level}`,
        help: level === "float" ? `put the passes that lead to level ${takes(pass)[0]} before it` : `put it before ${before ?? "the others"}`,
      });
    }
    if (pass.to !== "same") {
      level = pass.to;
      before = pass.name;
    }
  }
  return level;
}

/**
 * Runs a pipeline on a graph, in place.
 * @throws CecError of the pass's own fault, CEC4003 / CEC9002 when the verifier fails after a pass, CEC4009 for a plug-in's exception, CEC9001 for ours
 */
export async function runPipeline(graph: Graph, calls: readonly PassCall[], options: PipelineOptions = {}): Promise<PipelineResult> {
  const steps = flatten(calls);
  checkLevels(graph.level, steps);
  const { instruments = [], verify = "each", signal = null } = options;
  const passes: PassReport[] = [];
  const patches: PatchRecord[] = [];
  const decisions: Decision[] = [];
  const warnings: Diagnostic[] = [];
  let stopped = false;
  if (verify === "each") throwFaults(verifyGraph(graph), "before the first pass", false);
  for (const step of steps) {
    const { pass } = step;
    if (signal?.aborted) fail("CEC1005", { message: `stopped before pass ${pass.name}` });
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
        decisions.push({
          pass: pass.name,
          op: op.name || (op.outputs[0]?.name ?? ""),
          kind: op.kind,
          action,
          reason,
          ...(figure === undefined ? {} : { figure }),
        });
      },
      warn(code, message, at) {
        warnings.push(diagnostic(isCode(code) ? code : ("CEC4003" as Code), { severity: "warning", message, ...(at === undefined ? {} : { at }) }));
      },
      random: randomFrom(options.seed ?? 0, streamOf(`${step.index}:${pass.name}`)),
      executor: options.executor ?? null,
      calibration: options.calibration ?? null,
      progress: (fraction, what) => options.onProgress?.(pass.name, fraction, what),
      signal,
    };
    const started = performance.now();
    try {
      await pass.run?.(context);
      if (pass.to !== "same") graph.level = pass.to;
      graph.pipeline.push(pass.name);
      if (verify === "each") throwFaults(verifyGraph(graph), `after pass ${pass.name}`, options.plugins?.has(pass.name) !== true);
    } catch (error) {
      if (error instanceof StopAfterPatch) {
        graph.pipeline.push(`${pass.name}(stopped)`);
        stopped = true;
      } else throw explain(error, step, options, instruments, graph);
    }
    const changed = patches.length > first;
    passes.push({ name: pass.name, ms: performance.now() - started, patches: patches.length - first, statistics, changed });
    for (const i of instruments) await i.after?.(graph, step, changed);
    if (stopped) break;
  }
  return { graph, passes, patches, decisions, warnings, stopped };
}

function throwFaults(faults: readonly Diagnostic[], where: string, ours: boolean): void {
  if (faults.length === 0) return;
  const head = diagnostic(ours ? "CEC9002" : "CEC4003", {
    message: `the graph breaks a rule of the IR ${where}`,
    why: `${faults.length} fault${faults.length === 1 ? "" : "s"} found`,
  });
  throw new CecError([head, ...faults]);
}

/** The user's fault passes through; a plug-in's and our own exceptions get a name and a reproducer. */
function explain(error: unknown, step: PassStep, options: PipelineOptions, instruments: readonly Instrument[], graph: Graph): unknown {
  const notes = instruments
    .flatMap((i) => i.failed?.(graph, step, error) ?? [])
    .map((message) => diagnostic("CEC9002", { severity: "note", message }));
  if (error instanceof CecError) return error.exitCode === 70 ? new CecError([...error.diagnostics, ...notes], 70) : error;
  const what = error instanceof Error ? error.message : String(error);
  const plugin = options.plugins?.has(step.pass.name) === true;
  const where = error instanceof Error ? error.stack?.split("\n")[1]?.trim() : undefined;
  return new CecError([
    diagnostic(plugin ? "CEC4009" : "CEC9001", {
      message: `pass ${step.pass.name} failed: ${what}`,
      ...(where === undefined ? {} : { why: where }),
      help: plugin ? "the fault is in the plug-in's code" : "please report this with the plan and the model",
    }),
    ...notes,
  ]);
}
