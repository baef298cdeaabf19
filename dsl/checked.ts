/** What checking a file gives: data for the driver, with spans for its messages. */
import type { Diagnostic, Span } from "../compiler/core/diagnostics/index.js";

export type Literal = number | boolean | string | null | readonly Literal[] | { readonly [key: string]: Literal };

export interface CheckedData {
  /** As plans name it: `cifar10.train`. */
  readonly name: string;
  readonly kind: string;
  /** As the kind's schema parsed them. Relative paths are meant from `baseDir`. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly baseDir: string;
  readonly span: Span;
}

export interface DataRef {
  readonly name: string;
  /** Samples `[start, end)`; an open end is infinity. */
  readonly slice: readonly [start: number, end: number] | null;
  readonly span: Span;
}

export type PlanSource =
  | { readonly kind: "model"; readonly model: string; readonly args: Readonly<Record<string, Literal>>; readonly span: Span }
  | { readonly kind: "file"; readonly format: string /** Absolute. */; readonly path: string; readonly span: Span };

export interface PlanStep {
  /** Snake case, as the plan has it. */
  readonly name: string;
  /** Named and positional options together, without the schema's defaults. Paths of models are absolute. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Data sets that the options name. */
  readonly data: readonly string[];
  /** Models that they name. */
  readonly models: readonly { readonly path: string; readonly span: Span }[];
  readonly span: Span;
  /** Absolute path of the `use` file that brought the pass. */
  readonly plugin?: string;
}

export type Comparison = "<=" | ">=" | "<" | ">" | "==";

/** `text` is the line as written, without `require`. */
export type Requirement = { readonly span: Span; readonly text: string } & (
  | { readonly kind: "drop"; readonly metric: string; readonly op: Comparison; readonly limit: number }
  | { readonly kind: "metric"; readonly metric: string; readonly op: Comparison; readonly value: number }
  | { readonly kind: "size"; readonly op: Comparison; readonly value: number; readonly unit: "x" | "bytes" }
  | {
      readonly kind: "latency";
      readonly engine: string;
      readonly threads: number;
      readonly batch: number;
      readonly op: Comparison;
      readonly value: number;
      readonly unit: "x" | "ms";
    }
  | { readonly kind: "opset"; readonly op: Comparison; readonly value: number }
  | { readonly kind: "ops"; readonly target: string }
);

export interface PlanEmit {
  readonly kind: string;
  /** As written; relative paths are meant from the output folder. */
  readonly path: string;
  /** Without the path. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly span: Span;
}

export interface CheckedPlan {
  readonly name: string;
  readonly span: Span;
  readonly baseDir: string;
  readonly seed: number;
  readonly source: PlanSource;
  readonly calibrate: DataRef | null;
  readonly evaluate: readonly { readonly metrics: readonly string[]; readonly data: DataRef; readonly span: Span }[];
  readonly steps: readonly PlanStep[];
  readonly requires: readonly Requirement[];
  readonly emits: readonly PlanEmit[];
}

export interface CheckedModel {
  readonly name: string;
  readonly params: readonly { readonly name: string; readonly default: Literal | undefined }[];
  readonly span: Span;
}

export interface CheckedParam {
  readonly name: string;
  readonly type: string;
  readonly value: Literal;
  readonly default: Literal;
}

export interface CheckedFile {
  readonly path: string;
  /** Errors and warnings, in the order of the text. Models and plans with errors are left out of the maps. */
  readonly diagnostics: readonly Diagnostic[];
  readonly models: ReadonlyMap<string, CheckedModel>;
  readonly data: ReadonlyMap<string, CheckedData>;
  readonly plans: ReadonlyMap<string, CheckedPlan>;
  readonly params: ReadonlyMap<string, CheckedParam>;
  /** Text of each file that was read, by path, for messages. */
  readonly sources: ReadonlyMap<string, string>;
}
