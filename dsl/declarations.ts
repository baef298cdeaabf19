/** What the language is checked against. The driver injects it: the language itself knows no pass, layer, data kind, metric or output. */
import type { z } from "zod";

/** Something that a statement calls with options: a pass, an output. */
export interface Callable {
  readonly name: string;
  readonly summary: string;
  /** A strict object schema. Options with the metadata `{ names: "model" }` are paths, relative to the plan's file; `{ names: "data" }` data sets of the plan. */
  readonly options: z.ZodType;
  /** Options that may be given without a name, in order. */
  readonly positional?: readonly string[];
}

export interface LayerDeclaration {
  readonly name: string;
  readonly summary: string;
  /** Number of tensor operands; the first may come from the pipe. */
  readonly inputs: number | "variadic";
  /** The arguments that are no tensors, as a strict object schema. */
  readonly options: z.ZodType;
  /** Options that may be given by position, after the tensors. */
  readonly positional: readonly string[];
  /** Number of results; 1 when absent. More give a list. */
  readonly outputs?: number;
}

export interface MetricDeclaration {
  readonly summary: string;
  readonly needsLabels: boolean;
  readonly higherIsBetter: boolean;
  readonly unit: string;
}

export interface Declarations {
  /** By name in a plan (snake case). */
  readonly passes: ReadonlyMap<string, Callable>;
  readonly layers: ReadonlyMap<string, LayerDeclaration>;
  readonly dataKinds: Readonly<Record<string, { readonly summary: string; readonly options: z.ZodType }>>;
  readonly metrics: Readonly<Record<string, MetricDeclaration>>;
  /** Outputs; the path is the option `path`, given by position. */
  readonly emits: ReadonlyMap<string, Callable>;
  /** File kinds of `source KIND "path"`; `source model NAME(…)` is the language's own. */
  readonly sources: readonly string[];
  readonly engines: readonly string[];
  /** Of `require ops in TARGET`. */
  readonly targets: readonly string[];
}
