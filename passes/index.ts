/**
 * All passes that come with cec. Plans write statements in snake_case (`fold_batch_norm`), declarations and `--pass` lines in kebab-case
 * (`fold-batch-norm`): the registry holds both.
 */
import type { PassDefinition } from "../compiler/core/index.js";
import { canonicalizePasses } from "./canonicalize/index.js";
import { lowerPasses } from "./lower/index.js";

export * from "./canonicalize/index.js";
export { lowerPasses, lowerPipeline, supportedByNative, unsupportedReason } from "./lower/index.js";

/** Each pass once, in the order of a build. Reference pages and completions list these. */
export const passList: readonly PassDefinition[] = [...canonicalizePasses, ...lowerPasses];

/** The name of a pass as plans write it. */
export const statementName = (pass: { readonly name: string }): string => pass.name.replaceAll("-", "_");

/** Adds a pass (of a plug-in) under both of its names. */
export function registerPass(registry: Map<string, PassDefinition>, pass: PassDefinition): void {
  registry.set(pass.name, pass);
  registry.set(statementName(pass), pass);
}

function registryOf(list: readonly PassDefinition[]): ReadonlyMap<string, PassDefinition> {
  const registry = new Map<string, PassDefinition>();
  for (const pass of list) {
    const taken = registry.get(pass.name) ?? registry.get(statementName(pass));
    if (taken !== undefined) throw new TypeError(`two passes are named ${pass.name}`);
    registerPass(registry, pass);
  }
  return registry;
}

/** Passes by name, in either spelling. */
export const passes: ReadonlyMap<string, PassDefinition> = registryOf(passList);
