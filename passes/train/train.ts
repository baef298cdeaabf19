import { z } from "zod";
import { definePass, runPipeline } from "../../compiler/core/index.js";
import { addLoss } from "./add-loss.js";
import { adoptConstants, callOf, courseOptions, describeOutcome, runCourse, withConstants } from "./course.js";
import { untieVectors } from "./untie-vectors.js";

const options = z
  .object({
    ...courseOptions,
    loss: z.enum(["cross_entropy", "mse"]).default("cross_entropy").describe("as in `add_loss`"),
    label_smoothing: z.number().min(0).max(1).default(0).describe("as in `add_loss`"),
  })
  .strict();

/**
 * Trains the model: a copy of the graph becomes a training graph (`unroll_recurrent`, `untie_vectors`, `add_loss`, `autodiff`, `apply_optimizer`), the engine runs
 * its steps, and the weights and running statistics that it ends with go into the model. The same plan gives the same bits, whatever the number of threads and
 * however often it was interrupted.
 */
export const train = definePass({
  name: "train",
  summary: "Train the model's weights on a data set",
  description:
    "The graph is copied and becomes a training graph (unroll_recurrent, untie_vectors, add_loss, autodiff, apply_optimizer); the engine runs its steps; weights and running statistics go back into the model. The same plan gives the same bits, whatever the number of threads and however often it was interrupted: killed at any moment, the same command goes on from the checkpoint.",
  from: "float",
  to: "float",
  keeps: "lossy",
  options,
  positional: ["data"],
  statistics: { steps: "steps run", skipped: "of these, skipped for overflow", parameters: "tensors trained" },
  async run(context) {
    const { graph, options: o, rewrite, count, decide } = context;
    await runPipeline(graph, [callOf(untieVectors)], { verify: "off" });
    const outcome = await runCourse(context, o, {
      statement: "train",
      // Recurrent ops stay as they are in the model: only the copy is unrolled.
      graph: graph.clone(),
      loss: [callOf(addLoss, { kind: o.loss, label_smoothing: o.label_smoothing })],
      output: graph.outputs[0]?.name ?? "",
      deploy: (states) => withConstants(graph, states),
    });
    count("parameters", adoptConstants(graph, rewrite, outcome.states));
    count("steps", outcome.steps);
    count("skipped", outcome.scaling?.skipped ?? 0);
    const first = graph.ops.find((op) => op.kind !== "constant");
    if (first !== undefined) decide(first, "trained", describeOutcome(outcome), outcome.loss);
  },
});
