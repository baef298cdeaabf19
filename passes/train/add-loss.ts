import { z } from "zod";
import { definePass, fail, type Op, suggest, tensorType } from "../../compiler/core/index.js";
import { crossEntropy, elementOf, knownShape, logitsOf, meanSquare } from "./losses.js";

/**
 * Appends a loss to a forward graph: an input for what is wanted, and an output `loss`, the mean over the batch. Cross-entropy takes logits (a softmax at the end
 * of the model is looked through) and labels, classes on the last axis; label smoothing as in Szegedy et al. 2016. It also gives `correct`, the number of samples
 * whose greatest logit is the label.
 */
export const addLoss = definePass({
  name: "add-loss",
  summary: "Append a loss and the input that it compares with",
  from: "float",
  to: "same",
  keeps: "values",
  options: z
    .object({
      kind: z
        .enum(["cross_entropy", "mse"])
        .default("cross_entropy")
        .describe("cross-entropy with labels, or the mean squared difference to targets"),
      of: z.string().optional().describe("output of the model that is compared; default: its first"),
      label_smoothing: z.number().min(0).max(1).default(0).describe("part of the wanted distribution that is spread over all classes"),
    })
    .strict(),
  positional: ["kind"],
  statistics: { added: "losses" },
  run({ graph, options, rewrite, count, decide }) {
    const output = options.of === undefined ? graph.outputs[0] : graph.outputs.find((o) => o.name === options.of);
    if (output === undefined)
      return fail("CEC4015", {
        message: `the graph has no output "${options.of ?? ""}"`,
        help:
          suggest(
            options.of ?? "",
            graph.outputs.map((o) => o.name),
          ) ?? "name an output of the model with `of`",
      });
    const taken = graph.outputs.find((o) => o.name === "loss" || (o.name === "correct" && options.kind === "cross_entropy"));
    if (taken !== undefined)
      return fail("CEC4015", {
        message: `the graph has an output "${taken.name}" already`,
        help: "call `add_loss` once; an output of the model itself needs another name",
      });
    const value = options.kind === "cross_entropy" ? logitsOf(output.value) : output.value;
    if (value !== output.value) decide(output.value.producer as Op, "looked through", "the loss takes logits");
    const shape = knownShape(value, output.name);
    rewrite.patch(null, `${options.kind} of %${value.name}`, (edit) => {
      if (options.kind === "cross_entropy") {
        const { loss, correct } = crossEntropy(edit, value, options.label_smoothing);
        edit.addOutput("loss", loss);
        edit.addOutput("correct", correct);
      } else edit.addOutput("loss", meanSquare(edit, value, edit.addInput("target", tensorType(elementOf(value), shape))));
    });
    count("added");
  },
});
