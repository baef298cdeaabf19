/** The registry of passes: what a plan may call, by its name in a plan (`fold_batch_norm`) or in dumps (`fold-batch-norm`). */
import type { PassDefinition } from "../compiler/core/index.js";
import { canonicalizePasses } from "./canonicalize/index.js";
import { lowerPasses } from "./lower/index.js";
import { quantizePasses } from "./quantize/index.js";
import { trainPasses } from "./train/index.js";

const all: readonly PassDefinition[] = [...canonicalizePasses, ...quantizePasses, ...trainPasses, ...lowerPasses];

/** Passes by their name in a plan: snake case, as all names of the language. */
export const passes: ReadonlyMap<string, PassDefinition> = new Map(all.map((p) => [p.name.replaceAll("-", "_"), p]));

/** A pass by either spelling. */
export const findPass = (name: string): PassDefinition | undefined => passes.get(name.replaceAll("-", "_"));

export { canonicalizePasses } from "./canonicalize/index.js";
export { type LowerOptions, lowerPasses, lowerPipeline, supportedByNative, unsupportedReason } from "./lower/index.js";
export { quantizePasses } from "./quantize/index.js";
export { rangeMethods } from "./quantize/options.js";
export { biasMethods, type Int8Settings, type RecipeName, settingsOf } from "./quantize/recipes.js";
export { readSpec } from "./quantize/spec.js";
export * from "./train/index.js";
