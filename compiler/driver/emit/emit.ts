/** How an output of a plan is declared and written. */
import type { z } from "zod";
import type { Callable } from "../../../dsl/index.js";
import type { Graph, GraphSession } from "../../core/index.js";
import type { BuildReport } from "../build/report.js";
import type { StagedFolder } from "../files.js";

export interface EmitInput {
  readonly graph: Graph;
  /** Files go here under their final names; they are moved into place when all requirements hold. */
  readonly staged: StagedFolder;
  /** Final base name of the main file. */
  readonly name: string;
  readonly warn: (message: string) => void;
}

export interface Emitted {
  readonly opset?: number;
  /** Loads the staged file in the runtime that its users will run it in, to be compared with the model in memory. `null` where that runtime is not here. */
  open?(threads: number, exact?: boolean): Promise<GraphSession | null>;
}

export interface Emit<O = unknown> extends Callable {
  readonly options: z.ZodType<O>;
  /** Models are written, checked and counted before the verdict; reports after it. */
  readonly kind: "model" | "report";
  write?(input: EmitInput, options: O): Promise<Emitted> | Emitted;
  text?(report: BuildReport, path: string): string;
}

export const emit = <O>(e: Emit<O>): Emit => e as unknown as Emit;
