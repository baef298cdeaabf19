/**
 * The recipe `best`: settings of `quantize int8` found by measurement. Samples of the calibration data are held back; each trial quantizes with the others and is
 * compared with the float model on those. One setting is varied at a time, the best is kept; then the range method of one value at a time. A trial that was
 * run is written to a state file at once, so that a search that was stopped goes on where it was.
 */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { biasMethods, type Int8Settings, type RecipeName, rangeMethods, readSpec, settingsOf } from "../../passes/index.js";
import { type Graph, hashGraph, type PassCall, type PassDefinition, runPipeline } from "../core/index.js";
import { contentKey, type Dataset, part } from "./data/index.js";
import type { ChosenEngine } from "./engine/index.js";
import { evaluate } from "./evaluate.js";
import { bindData, calibrationOf } from "./feeds.js";
import { writeFileAtomic } from "./files.js";
import { version } from "./version.js";

/** One in this many calibration samples is held back. */
const HELD_BACK = 4;

/** What a trial sets, beside what the plan says itself. */
export type Settings = Partial<Omit<Int8Settings, "learning">> & { readonly overrides?: Readonly<Record<string, { readonly range: string }>> };

/** Options of `quantize` with a trial's settings: what the plan says of single ops stays. */
export const optionsOf = (options: Readonly<Record<string, unknown>>, settings: Settings): Readonly<Record<string, unknown>> => ({
  ...options,
  ...settings,
  recipe: "accurate",
  overrides: { ...(options["overrides"] as object | undefined), ...settings.overrides },
});

/** Settings that were tried, and what they came to. */
export interface Trial {
  readonly settings: Settings;
  /** Signal to quantization noise of the outputs, in dB, and changed predictions, on the samples held back. */
  readonly sqnr: number;
  readonly flips: number;
}

/** All trials of a search. */
export interface Search {
  readonly trials: readonly Trial[];
  readonly best: Trial;
  /** Samples held back. */
  readonly samples: number;
  /** False where time or the user ended it before all was tried. */
  readonly complete: boolean;
}

/** What a search works on. */
export interface SearchInput {
  readonly graph: Graph;
  /** Passes before `quantize`. */
  readonly before: readonly PassCall[];
  readonly quantize: PassDefinition;
  readonly options: Readonly<Record<string, unknown>>;
  readonly data: Dataset;
  readonly engine: ChosenEngine;
  readonly seed: number;
  readonly budgetSeconds: number;
  readonly state: string;
  /** Ends the search, not the build. */
  readonly stop: AbortSignal | null;
  readonly onProgress?: (fraction: number, what: string) => void;
}

const stateSchema = z.object({
  key: z.string(),
  trials: z.array(z.object({ settings: z.custom<Settings>((v) => typeof v === "object" && v !== null), sqnr: z.number(), flips: z.number() })),
});
type State = z.infer<typeof stateSchema>;

function readState(path: string, key: string): Trial[] {
  if (!existsSync(path)) return [];
  try {
    const state = stateSchema.parse(JSON.parse(readFileSync(path, "utf8")));
    return state.key === key ? [...state.trials] : [];
  } catch {
    // Cut short by a crash, or no file of ours: the search begins anew and replaces it.
    return [];
  }
}

/** Searches until all is tried, the budget is spent or `stop` aborts; the first trial, the recipe `accurate`, is always run. */
export async function searchInt8(input: SearchInput): Promise<Search> {
  const { data, options, engine, seed, stop, onProgress } = input;
  const started = performance.now();
  const prepared = input.graph.clone();
  const [kept, held] = [part(data, HELD_BACK, false), part(data, HELD_BACK, true)];
  // One sample cannot be parted: it is judged by what it was tuned on.
  const [calibrate, judge] = kept.size === 0 || held.size === 0 ? [data, data] : [kept, held];
  const calibration = calibrationOf(bindData(calibrate, prepared));
  await runPipeline(prepared, input.before, { verify: "off", seed, executor: engine.executor, calibration });
  const bound = bindData(judge, prepared);
  const output = prepared.outputs[0]?.name ?? "";
  const float = await engine.executor.prepare(prepared);
  // A longer budget goes on where a shorter one ended.
  const { budget: _, ...lasting } = options;
  const key = [version, hashGraph(prepared), engine.name, await contentKey(data), seed, JSON.stringify(lasting)].join(" ");
  const trials = readState(input.state, key);
  const tried = (s: Settings): Trial | undefined => trials.find((t) => JSON.stringify(t.settings) === JSON.stringify(s));
  let ended = false;
  const over = (): boolean => {
    ended ||= stop?.aborted === true || (performance.now() - started) / 1000 > input.budgetSeconds;
    return ended;
  };

  async function quantized(settings: Settings): Promise<Graph> {
    const graph = prepared.clone();
    // The first trial is the least that there is to give: it is not stopped.
    const signal = trials.length === 0 ? null : stop;
    await runPipeline(graph, [{ pass: input.quantize, options: optionsOf(options, settings) }], {
      verify: "off",
      seed,
      executor: engine.executor,
      calibration,
      signal,
    });
    return graph;
  }
  async function measure(settings: Settings): Promise<Trial> {
    const known = tried(settings);
    if (known !== undefined) return known;
    const after = await engine.executor.prepare(await quantized(settings));
    try {
      const { results } = await evaluate(bound, { before: float, after }, { reference: "before", output });
      const v = results["after"]?.values;
      // JSON has no infinity: an exact result is as good as 999 dB.
      const trial: Trial = { settings, sqnr: Math.min(999, v?.sqnr ?? Number.NEGATIVE_INFINITY), flips: v?.flips ?? 0 };
      trials.push(trial);
      writeFileAtomic(input.state, `${JSON.stringify({ key, trials } satisfies State, null, 1)}\n`);
      const spent = (performance.now() - started) / 1000 / input.budgetSeconds;
      onProgress?.(
        Math.min(1, spent),
        `trial ${trials.length}: ${trial.sqnr.toFixed(2)} dB, ${trial.flips} flips; Ctrl-C ends the search with the best so far`,
      );
      return trial;
    } finally {
      after.dispose();
    }
  }

  try {
    const first = settingsOf(options["recipe"] as RecipeName, options as never);
    let best = await measure({});
    const vary = async (candidates: readonly Settings[]): Promise<void> => {
      const from = best.settings;
      for (const c of candidates) {
        if (over()) return;
        const trial = await measure({ ...from, ...c }).catch((error: unknown) => {
          if (stop?.aborted === true) return null;
          throw error;
        });
        if (trial === null) continue;
        if (trial.sqnr > best.sqnr) best = trial;
      }
    };
    const others = <T>(all: readonly T[], now: T): T[] => all.filter((e) => e !== now);
    if (options["range"] === undefined) await vary(others(rangeMethods, first.range).map((range) => ({ range })));
    if (options["bias"] === undefined) await vary(others(biasMethods, first.bias).map((bias) => ({ bias })));
    if (options["rounding"] === undefined) await vary(others(["adaround", "gptq"] as const, first.rounding).map((rounding) => ({ rounding })));
    if (options["tune"] === undefined) await vary([{ tune: !first.tune }]);
    if (options["align"] === undefined) await vary([{ align: !first.align }]);
    if (options["equalize"] === undefined) await vary([{ equalize: !first.equalize }]);
    // The range of one value at a time, by what it does to the outputs.
    const chosen = best.settings.range ?? first.range;
    for (const name of over() ? [] : await observedValues(prepared)) {
      if (over()) break;
      await vary(others(["minmax", "mse"], chosen).map((range) => ({ overrides: { ...best.settings.overrides, [name]: { range } } })));
    }
    return { trials, best, samples: judge.size, complete: !ended };
  } finally {
    float.dispose();
  }

  async function observedValues(graph: Graph): Promise<string[]> {
    const copy = graph.clone();
    const annotate = input.quantize
      .expand?.({ ...(input.quantize.options.parse(options) as object), recipe: "accurate" })
      .find((c) => c.pass.name === "annotate-int8");
    if (annotate === undefined) return [];
    await runPipeline(copy, [annotate], { verify: "off", seed });
    return copy.ops.flatMap((op) => (readSpec(op)?.outputs[0]?.kind === "observed" ? [op.outputs[0]?.name ?? ""] : []));
  }
}
