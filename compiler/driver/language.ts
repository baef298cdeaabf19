/** Plan files, checked against everything that the driver knows. */
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { CheckedFile, CheckedPlan, Declarations } from "../../dsl/index.js";
import { passes } from "../../passes/index.js";
import { CecError, checkLevels, type Diagnostic, flatten, ignoredOptions, type PassCall, type PassDefinition, type Span } from "../core/index.js";
import { dataKinds } from "./data/index.js";
import { emits } from "./emit/index.js";
import { layers } from "./layers/index.js";
import { metrics } from "./metrics.js";
import { targets } from "./targets.js";
import { checkpointFaults } from "./train/checkpoint-names.js";

export const declarations: Declarations = {
  passes,
  layers,
  dataKinds,
  metrics,
  emits,
  sources: ["onnx", "cir"],
  engines: ["native", "ort"],
  targets: Object.keys(targets),
};

const isPass = (v: unknown): v is PassDefinition =>
  typeof v === "object" &&
  v !== null &&
  "name" in v &&
  "options" in v &&
  "keeps" in v &&
  ("run" in v || "expand" in v) &&
  (v as PassDefinition).options instanceof z.ZodType;

/** Passes that plug-ins brought, by the name that a plan calls. A plug-in is loaded once. */
const plugins = new Map<string, ReadonlyMap<string, PassDefinition>>();

/** Exports of a module that are passes. */
async function loadPlugin(path: string): Promise<readonly PassDefinition[]> {
  const known = plugins.get(path);
  if (known !== undefined) return [...known.values()];
  const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  const found = new Map(
    Object.values(module)
      .filter(isPass)
      .map((p) => [p.name.replaceAll("-", "_"), p]),
  );
  if (found.size === 0) throw new Error("it exports no pass made by `definePass`");
  plugins.set(path, found);
  return [...found.values()];
}

/** The pass of a plan step. */
export const passOf = (name: string, plugin: string | undefined): PassDefinition =>
  (plugin === undefined ? passes.get(name) : plugins.get(plugin)?.get(name)) as PassDefinition;

/** Checks a plan file. Faults stand in the result's diagnostics. */
export async function openPlan(path: string, set: Readonly<Record<string, string>> = {}): Promise<CheckedFile> {
  // Loaded when a plan is read: the parser's tables take time and memory that commands on models alone need not spend.
  const { checkFile } = await import("../../dsl/index.js");
  return checkFile(path, { declarations, set, env: process.env, loadPlugin, checkPlan: passFaults });
}

/** Where options of a command line stand, for messages that want a place. */
export const commandLine: Span = { file: "<command line>", start: { line: 1, column: 1, offset: 0 }, end: { line: 1, column: 1, offset: 0 } };

/** The passes that a plan's statements are. */
export const stepCalls = (steps: CheckedPlan["steps"]): PassCall[] =>
  steps.map(({ name, options, span, spans, plugin }) => ({
    pass: passOf(name, plugin),
    options,
    ...(span === commandLine ? {} : { statement: { name, span, ...(spans === undefined ? {} : { options: spans }) } }),
  }));

/** Statements whose passes do not follow on each other, options without effect, and checkpoints in each other's place. What an IR file holds is not known before it is read. */
function passFaults(plan: CheckedPlan): readonly Diagnostic[] {
  const calls = stepCalls(plan.steps);
  const ignored = [...ignoredOptions(calls), ...checkpointFaults(plan, (s) => passOf(s.name, s.plugin))];
  if (plan.source.kind === "file" && plan.source.format !== "onnx") return ignored;
  try {
    checkLevels("float", flatten(calls));
    return ignored;
  } catch (error) {
    // Of a plug-in that fails here, the build tells in its own terms.
    return error instanceof CecError && error.diagnostics.every((d) => d.code === "CEC4004") ? [...ignored, ...error.diagnostics] : ignored;
  }
}

/** Texts of the plan files that were read, for messages with source lines. */
const texts = new Map<string, string>();
export const sourceText = (file: string): string | undefined => texts.get(file);
export const rememberText = (file: string, text: string): unknown => texts.set(file, text);

export function throwErrors(file: CheckedFile): void {
  for (const [path, text] of file.sources) texts.set(path, text);
  if (file.diagnostics.some((d) => d.severity === "error")) throw new CecError([...file.diagnostics]);
}
