/** From a training graph to a native session that steps. */
import { lowerPipeline, passes, statesOf } from "../../../passes/index.js";
import { createTrainingSession, serialize, type TrainingSession } from "../../../runtime-native/ts/index.js";
import { fail, type Graph, type PassCall, runPipeline, type Tensor, zeros } from "../../core/index.js";

const call = (name: string): PassCall => ({ pass: passes.get(name) as PassCall["pass"], options: {} });

/** Fusions and clean-up that training graphs go through before lowering. */
export const trainingCleanup: readonly PassCall[] = ["fuse_batch_norm_relu", "canonicalize"].map(call);

/**
 * Lowers a training graph and opens a session on it.
 * @param initial values of the states before the first step, by name; others begin at 0 (velocities, moments)
 */
export async function compileTraining(
  source: Graph,
  initial: ReadonlyMap<string, Tensor>,
  options: { readonly threads?: number; readonly profile?: boolean; readonly precision?: "f32" | "f16" } = {},
): Promise<{ readonly session: TrainingSession; readonly lowered: Graph }> {
  const graph = source.clone();
  const states = statesOf(graph);
  const half = options.precision === "f16" ? [call("half_precision")] : [];
  await runPipeline(graph, [...trainingCleanup, ...lowerPipeline(graph.level), ...half], { verify: "off" });
  const session = createTrainingSession(
    serialize(graph),
    states.map((s) => ({ input: s.input, output: s.output, tensor: initial.get(s.input) ?? zerosOf(s.value.type) })),
    options,
  );
  return { session, lowered: graph };
}

const zerosOf = (type: Graph["inputs"][number]["type"]): Tensor =>
  type.kind === "tensor" && type.shape?.every((d) => typeof d === "number")
    ? zeros(type.elem, type.shape as readonly number[])
    : fail("CEC9001", { message: "a state of a training graph has no static shape" });
