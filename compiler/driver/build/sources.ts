/** What a plan names: itself, its source model, data sets, and models that its passes read. */
import { existsSync } from "node:fs";
import { type CheckedFile, type CheckedPlan, type DataRef, parseDataReference } from "../../../dsl/index.js";
import { fail, type ModelSource, placed, suggest } from "../../core/index.js";
import type { DataKindName, Dataset } from "../data/index.js";
import { elaborateModel, type LoadedModel, loadModel, modelOf } from "../model.js";
import { type DataSource, openSource } from "../train/loader.js";

export async function planSource(file: CheckedFile, plan: CheckedPlan): Promise<LoadedModel> {
  const { source } = plan;
  if (source.kind === "file") return placed(source.span, () => loadModel(source.path));
  const graph = await elaborateModel(file, source.model, source.args, plan.seed);
  return modelOf(graph, `${file.path}#${source.model}`);
}

export async function openRef(file: CheckedFile, ref: DataRef): Promise<Dataset> {
  const d = file.data.get(ref.name);
  if (d === undefined) return fail("CEC2012", { message: `there is no data set \`${ref.name}\``, span: ref.span });
  return openSource({ name: ref.name, kind: d.kind as DataKindName, options: d.options, baseDir: d.baseDir, slice: ref.slice });
}

/** A data set by its name as text, as options of passes give it: `cifar10.train[0:512]`. */
export function dataSource(file: CheckedFile, reference: string): DataSource {
  const { name, slice } = parseDataReference(reference) ?? { name: reference, slice: null };
  const d = file.data.get(name);
  if (d === undefined)
    return fail("CEC2012", {
      message: `there is no data set \`${reference}\``,
      help: suggest(name, file.data.keys()) ?? `declared are ${[...file.data.keys()].join(", ") || "none"}`,
    });
  return { name, kind: d.kind as DataKindName, options: d.options, baseDir: d.baseDir, slice };
}

/** Models that passes of the plan name. */
export function modelSource(plan: CheckedPlan): ModelSource {
  const spans = new Map(plan.steps.flatMap((s) => s.models.map((m) => [m.path, m.span])));
  return {
    async load(path) {
      const span = spans.get(path);
      const { graph, format } = span === undefined ? await loadModel(path) : await placed(span, () => loadModel(path));
      if (format === "model")
        fail("CEC1002", {
          message: `${path} has no trained weights`,
          help: "name the .onnx or .cir file that its training wrote",
          ...(span === undefined ? {} : { span }),
        });
      return graph;
    },
  };
}

/** Before the work, not after it: files that passes will read. */
export function findModels(plan: CheckedPlan): void {
  for (const { path, span } of plan.steps.flatMap((s) => s.models))
    if (!existsSync(path.split("#")[0] as string))
      fail("CEC1002", { message: `there is no model at ${path}`, help: "paths are relative to the plan's file", span });
}

/** Picks a plan: the named one, or the only one. */
export function choosePlan(file: CheckedFile, name: string | undefined): CheckedPlan {
  const names = [...file.plans.keys()];
  if (name === undefined && names.length === 1) return file.plans.get(names[0] as string) as CheckedPlan;
  const plan = name === undefined ? undefined : file.plans.get(name);
  if (plan !== undefined) return plan;
  return fail("CEC2012", {
    message:
      name === undefined ? `${file.path} has ${names.length === 0 ? "no plan" : `${names.length} plans`}` : `${file.path} has no plan \`${name}\``,
    ...(names.length === 0 ? {} : { why: `it declares ${names.join(", ")}` }),
    help: names.length === 0 ? "declare one: `plan NAME { source … emit … }`" : "choose one with --plan NAME",
  });
}
