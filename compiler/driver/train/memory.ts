/** Memory of training steps, without running any. */

import type { CheckedFile, CheckedPlan } from "../../../dsl/index.js";
import { passes } from "../../../passes/index.js";
import type { MemoryPlan } from "../../../runtime-native/ts/index.js";
import {
  callOf,
  fail,
  type Graph,
  type PassCall,
  type PipelineOptions,
  type Recompute,
  runPipeline,
  type Trainer,
  type TrainingTask,
} from "../../core/index.js";
import { planCalls } from "../build/index.js";
import { findModels, modelSource, openRef, planSource } from "../build/sources.js";
import { slice } from "../data/index.js";
import { chooseEngine } from "../engine/index.js";
import { bindData, calibrationOf } from "../feeds.js";
import { openPlan, throwErrors } from "../language.js";
import { loadModel } from "../model.js";
import { lowerTraining, memoryOfTraining } from "./compile.js";

export interface TrainingMemory {
  readonly batch: number;
  readonly recompute: Recompute;
  /** Bytes of parameters, velocities, moments and running statistics, which live from step to step outside the arena. */
  readonly stateBytes: number;
  /** Index of the last step that computes the loss: the backward part begins behind it. */
  readonly lossStep: number;
  /** Everything is kept that is read again. */
  readonly without: MemoryPlan;
  /** Activations are made again as `recompute` says. */
  readonly with: MemoryPlan;
}

export interface TrainingMemoryOptions {
  /** Samples of a step; default: what the plan says, or 128. */
  readonly batch?: number;
  /** Default: what the plan says, or `optimum`. */
  readonly recompute?: Recompute;
  readonly threads?: number;
  readonly set?: Readonly<Record<string, string>>;
}

/**
 * The memory plans of a training step, as the engine would run it, with and without recomputation.
 * @param path a plan with a statement that trains (`FILE.cplan#PLAN`), or a model, which is taken to train with cross-entropy and SGD with momentum
 * @throws CecError CEC4016 where the plan trains nothing, CEC4018 for a budget that cannot be met, what `loadModel` and the passes reject
 */
export async function trainingMemory(path: string, options: TrainingMemoryOptions = {}): Promise<TrainingMemory> {
  const { threads = 1 } = options;
  const task = await trainingTask(path, options.set ?? {});
  const batch = options.batch ?? task.settings.batch;
  const { precision } = task.settings;
  const recompute = options.recompute ?? task.settings.recompute ?? "optimum";
  const plain = await lowerTraining(task.graph, { batch, precision });
  const again = await lowerTraining(task.graph, { batch, precision, recompute, threads });
  const ops = plain.ops.filter((op) => op.kind !== "constant");
  const without = memoryOfTraining(plain, batch, threads);
  return {
    batch,
    recompute,
    stateBytes: without.outputBytes,
    lossStep: ops.findIndex((op) => plain.outputs.some((o) => o.name === "loss" && o.value.producer === op)),
    without,
    with: memoryOfTraining(again, batch, threads),
  };
}

/** Samples that calibration before the training observes here: what its ranges are does not matter to the memory. */
const CALIBRATION = 4;

/** What a plan or a model would train: its passes run up to there, and the trainer takes the task and stops. */
export async function trainingTask(path: string, set: Readonly<Record<string, string>> = {}): Promise<TrainingTask> {
  const seen: TrainingTask[] = [];
  const trainer: Trainer = {
    async train(task) {
      seen.push(task);
      return fail("CEC4016", { message: "no step was to be run" });
    },
  };
  const { graph, calls, options } = await sourceOf(path, set);
  try {
    await runPipeline(graph, calls, { ...options, verify: "off", trainer });
  } catch (error) {
    if (seen.length === 0) throw error;
  }
  return seen[0] ?? fail("CEC4016", { message: `${path} trains nothing`, help: "give a plan with `train`, or a model" });
}

interface Source {
  readonly graph: Graph;
  readonly calls: readonly PassCall[];
  /** What the passes read beside the graph. */
  readonly options: Pick<PipelineOptions, "calibration" | "executor" | "models">;
}

async function sourceOf(path: string, set: Readonly<Record<string, string>>): Promise<Source> {
  const [file = "", name] = path.split("#");
  if (file.endsWith(".cplan")) {
    const checked = await openPlan(file, set);
    throwErrors(checked);
    const only = checked.plans.size === 1 && checked.models.size === 0 ? [...checked.plans.keys()][0] : undefined;
    const plan: CheckedPlan | undefined = checked.plans.get(name ?? only ?? "");
    if (plan !== undefined) {
      findModels(plan);
      const { graph } = await planSource(checked, plan);
      return { graph, calls: planCalls(plan), options: { models: modelSource(plan), ...(await calibrated(checked, plan, graph)) } };
    }
  }
  const { graph } = await loadModel(path, set);
  return { graph, calls: [callOf(passes.get("train"), { data: path })], options: {} };
}

async function calibrated(file: CheckedFile, plan: CheckedPlan, graph: Graph): Promise<Pick<PipelineOptions, "calibration" | "executor">> {
  if (plan.calibrate === null) return {};
  const data = await openRef(file, plan.calibrate);
  const { executor } = await chooseEngine(graph, undefined, 1);
  return { executor, calibration: calibrationOf(bindData(slice(data, 0, CALIBRATION), graph)) };
}
