/**
 * How a pass is declared. A declaration is data: the language checks plan statements against it, the manager runs it, the reference pages and
 * `cec explain` print it.
 */
import { z } from "zod";
import type { Span } from "../diagnostics/index.js";
import type { Graph, Level, Op, Value } from "../ir/graph.js";
import type { Tensor } from "../ir/tensor.js";
import type { CalibrationSource, Executor } from "./executor.js";
import type { Rewriter } from "./rewrite.js";
import type { Trainer } from "./trainer.js";

/** What a pass promises about values: the same bits, the same up to float rounding, or a change that is wanted. */
export type Keeps = "bit-exact" | "values" | "lossy";

/** One line of the decision log: what a pass did or left alone at an op, and why, with the figure behind it where there is one. */
export interface Decision {
  readonly pass: string;
  /** Node name, or the name of its first output where it has none. */
  readonly op: string;
  readonly kind: string;
  readonly action: string;
  readonly reason: string;
  readonly figure?: number;
}

export interface PassContext<Options, Stats extends string> {
  readonly graph: Graph;
  readonly options: Options;
  readonly rewrite: Rewriter;
  /** Adds to a declared statistic. */
  count(statistic: Stats, by?: number): void;
  /** Writes a line of the decision log. */
  decide(op: Op, action: string, reason: string, figure?: number): void;
  /** A warning in the user's terms; the build goes on. */
  warn(code: string, message: string, at?: { readonly node?: string; readonly tensor?: string }): void;
  /** Seeded from the plan's `seed` and the pass's place in the pipeline: uniform in [0, 1). */
  random(): number;
  /** Runs graphs (calibration, measuring); `null` where the caller has none. */
  readonly executor: Executor | null;
  readonly calibration: CalibrationSource | null;
  /** Runs training steps on the plan's data; `null` where the caller has none. */
  readonly trainer: Trainer | null;
  /** Loads models beside the one that is compiled (`modelOption`); `null` where the caller has none. */
  readonly models: ModelSource | null;
  /** Reports progress of long work, 0 to 1. */
  progress(fraction: number, what: string): void;
  readonly signal: AbortSignal | null;
}

/** Models by the paths that options give. */
export interface ModelSource {
  /** A graph of its own for the caller. Throws what reading the file rejects, with the option's place in the plan. */
  load(path: string): Promise<Graph>;
}

/** An option that names a model's file; in a plan relative to the plan's own. */
export const modelOption = () => z.string().min(1).meta({ names: "model" });
/** An option that names a data set of the plan, with a slice where one is wanted: `"cifar10.train[0:512]"`. The language checks that there is one. */
export const dataOption = () => z.string().meta({ names: "data" });

export interface PassDefinition<Name extends string = string, Options = unknown, Stats extends string = string> {
  readonly name: Name;
  /** One line, shown in lists and completions. */
  readonly summary: string;
  /** Longer text for the reference page: what it does, what it does not promise, sources. */
  readonly description?: string;
  /** Levels that the pass takes, and the level it gives (`same` keeps the level). */
  readonly from: Level | readonly Level[];
  readonly to: Level | "same";
  readonly keeps: Keeps;
  readonly options: z.ZodType<Options>;
  /** Options that a plan may give without a name, in order: `quantize int8` sets the first. */
  readonly positional?: readonly string[];
  readonly statistics: Readonly<Record<Stats, string>>;
  /** Which of the options that were given (none are defaults) change nothing beside the others, and why. */
  ignored?(given: Readonly<Record<string, unknown>>): readonly { readonly option: string; readonly why: string }[];
  /** The passes that this statement stands for, in order; such a pass has no `run` of its own (`fuse`, `quantize`). */
  expand?(options: Options): readonly PassCall[];
  run?(context: PassContext<Options, Stats>): void | Promise<void>;
}

/** Where a plan calls a pass. */
export interface Statement {
  /** As the plan writes it. */
  readonly name: string;
  readonly span: Span;
  /** Places of its options, by name. */
  readonly options?: Readonly<Record<string, Span>>;
}

export interface PassCall {
  readonly pass: PassDefinition;
  readonly options: Readonly<Record<string, unknown>>;
  /** The statement of a plan that this is: faults speak of it by its name, at its place. */
  readonly statement?: Statement;
}

/** A call of a pass, whose definition may be of any options. */
export const callOf = (pass: unknown, options: Readonly<Record<string, unknown>> = {}): PassCall => ({ pass: pass as PassDefinition, options });

/**
 * Declares a pass.
 *
 * @example
 * const dropDropout = definePass({
 *   name: "drop-dropout", summary: "Remove dropout", from: "float", to: "same", keeps: "bit-exact",
 *   options: z.object({}).strict(), statistics: { removed: "ops removed" },
 *   run({ graph, rewrite, count }) {
 *     for (const op of graph.opsOf("dropout")) { rewrite.replace(op, op.inputs[0]!, "inference"); count("removed"); }
 *   },
 * });
 */
export function definePass<Name extends string, Options, Stats extends string>(
  definition: PassDefinition<Name, Options, Stats>,
): PassDefinition<Name, Options, Stats> {
  if ((definition.run === undefined) === (definition.expand === undefined)) {
    throw new TypeError(`pass ${definition.name} must have either run or expand`);
  }
  return definition;
}

export type { Tensor, Value };
