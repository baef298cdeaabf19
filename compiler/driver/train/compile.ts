/** From a training graph to a native session that steps. */
import { lowerPipeline, passes, statesOf } from "../../../passes/index.js";
import { createTrainingSession, type MemoryPlan, planTraining, serialize, type TrainingSession } from "../../../runtime-native/ts/index.js";
import { CecError, callOf, fail, type Graph, type PassCall, type Recompute, runPipeline, type Tensor, zeros } from "../../core/index.js";

const call = (name: string, options: PassCall["options"] = {}): PassCall => callOf(passes.get(name), options);

/** Fusions and clean-up that training graphs go through before lowering. */
export const trainingCleanup: readonly PassCall[] = ["fuse_batch_norm_relu", "canonicalize"].map((name) => call(name));

export interface TrainingOptions {
  readonly threads?: number;
  /** `f16`: activations that backward reads are kept as f16. */
  readonly precision?: "f32" | "f16";
  readonly recompute?: Recompute | undefined;
  /** Samples of a step, which `recompute` counts with. */
  readonly batch?: number;
}

const MIB = 2 ** 20;
/** Plans that are made for a budget before it is given up: the pass does not know the ops' scratch memory and the gaps of the arena, which take a little more. */
const ATTEMPTS = 6;

/** The program of a training graph: cleaned up, lowered, with activations made again where that is wanted. */
export async function lowerTraining(source: Graph, { threads = 1, precision = "f32", recompute, batch = 1 }: TrainingOptions = {}): Promise<Graph> {
  const graph = source.clone();
  await runPipeline(graph, [...trainingCleanup, ...lowerPipeline(graph.level), ...(precision === "f16" ? [call("half_precision")] : [])], {
    verify: "off",
  });
  if (recompute === undefined) return graph;
  const again = async (options: PassCall["options"]): Promise<Graph> => {
    const copy = graph.clone();
    await runPipeline(copy, [call("recompute_activations", { ...options, batch })], { verify: "off" });
    return copy;
  };
  if (typeof recompute === "string") return again({ segments: recompute });
  if ("every" in recompute) return again(recompute);
  const mib = (lowered: Graph): number => memoryOfTraining(lowered, batch, threads).arenaBytes / MIB;
  for (let i = 0, budget = recompute.budget; i < ATTEMPTS; i++) {
    const found = await again({ budget }).catch(unlessTooSmall);
    if (found === null) break;
    const needed = mib(found);
    if (needed <= recompute.budget) return found;
    // Plans change in steps of whole tensors: a little less may give the same one.
    budget -= (needed - recompute.budget) * 2 ** i;
  }
  const smallest = await again({ segments: "optimum" });
  const least = mib(smallest);
  if (least <= recompute.budget) return smallest;
  return fail("CEC4018", {
    message: `a training step of ${batch} samples does not fit into ${recompute.budget} MiB`,
    why: `the least is ${leastShown(least)} MiB`,
    help: "give a larger budget or a smaller batch",
  });
}

/** Rounded up to three digits: a budget of what is shown fits. */
function leastShown(mib: number): number {
  const unit = 10 ** (Math.floor(Math.log10(mib)) - 2);
  return Number((Math.ceil(mib / unit) * unit).toPrecision(3));
}

const unlessTooSmall = (error: unknown): null => {
  if (error instanceof CecError && error.diagnostics.some((d) => d.code === "CEC4018")) return null;
  throw error;
};

/** How the engine places what a step of a lowered training graph computes. Free dimensions of inputs are `batch` at the first axis. */
export const memoryOfTraining = (lowered: Graph, batch: number, threads = 1): MemoryPlan =>
  planTraining(serialize(lowered), statesOf(lowered), (inputs) => inputs.map(({ dims }) => dims.map((d, i) => d ?? (i === 0 ? batch : 1))), threads);

/**
 * Lowers a training graph and opens a session on it.
 * @param initial values of the states before the first step, by name; others begin at 0 (velocities, moments)
 */
export async function compileTraining(
  source: Graph,
  initial: ReadonlyMap<string, Tensor>,
  options: TrainingOptions & { readonly profile?: boolean } = {},
): Promise<{ readonly session: TrainingSession; readonly lowered: Graph }> {
  const { recompute: _, batch: __, precision: ___, ...session } = options;
  const graph = await lowerTraining(source, options);
  const states = statesOf(source);
  return {
    session: createTrainingSession(
      serialize(graph),
      states.map((s) => ({ input: s.input, output: s.output, tensor: initial.get(s.input) ?? zerosOf(s.value.type) })),
      session,
    ),
    lowered: graph,
  };
}

const zerosOf = (type: Graph["inputs"][number]["type"]): Tensor =>
  type.kind === "tensor" && type.shape?.every((d) => typeof d === "number")
    ? zeros(type.elem, type.shape as readonly number[])
    : fail("CEC9001", { message: "a state of a training graph has no static shape" });
