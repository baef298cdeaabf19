import { z } from "zod";
import { callOf, definePass, runPipeline } from "../../compiler/core/index.js";
import { addLoss } from "./add-loss.js";
import { adoptOutcome, courseOptions, courseStatistics, lossOptions, runCourse, withConstants } from "./course.js";
import { untieVectors } from "./untie-vectors.js";

const options = z
  .object({
    ...courseOptions,
    ...lossOptions,
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
  statistics: courseStatistics,
  async run(context) {
    const { graph, options: o } = context;
    await runPipeline(graph, [callOf(untieVectors)], { verify: "off" });
    const outcome = await runCourse(context, o, {
      statement: "train",
      // Recurrent ops stay as they are in the model: only the copy is unrolled.
      graph: graph.clone(),
      loss: [callOf(addLoss, { kind: o.loss, label_smoothing: o.label_smoothing })],
      output: graph.outputs[0]?.name ?? "",
      deploy: (states) => withConstants(graph, states),
    });
    adoptOutcome(context, outcome, "trained");
  },
});
