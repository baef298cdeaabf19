import { z } from "zod";
import { definePass, type Edit, fail, fromNumbers, i64, type Op, type Shape, suggest, tensorType, type Value } from "../../compiler/core/index.js";

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
    let value = output.value;
    if (options.kind === "cross_entropy" && value.producer?.kind === "softmax") {
      decide(value.producer, "looked through", "the loss takes logits");
      value = value.producer.inputs[0] as Value;
    }
    const shape = value.type.kind === "tensor" ? value.type.shape : null;
    if (value.type.kind !== "tensor" || shape === null)
      return fail("CEC4015", {
        message: `the shape of "${output.name}" is not known`,
        help: "give the model's inputs shapes",
        at: { tensor: value.name },
      });
    const { elem } = value.type;
    rewrite.patch(null, `${options.kind} of %${value.name}`, (edit) => {
      if (options.kind === "cross_entropy") crossEntropy(edit, value, shape, options.label_smoothing);
      else {
        const target = edit.addInput("target", tensorType(elem, shape));
        const v = emit(edit);
        const difference = v("sub", [value, target]);
        edit.addOutput("loss", v("reduce_mean", [v("mul", [difference, difference])], { keepdims: 0 }));
      }
    });
    count("added");
  },
});

const emit =
  (edit: Edit) =>
  (kind: string, inputs: readonly (Value | null)[], attrs: Op["attrs"] = {}): Value =>
    edit.insert(kind, inputs, { attrs, name: "loss" }).outputs[0] as Value;

function crossEntropy(edit: Edit, logits: Value, shape: Shape, smoothing: number): void {
  const classes = shape.at(-1);
  if (shape.length < 2 || typeof classes !== "number")
    fail("CEC4015", { message: `logits must be [N, …, classes], %${logits.name} is [${shape.join(", ")}]`, at: { tensor: logits.name } });
  const v = emit(edit);
  const labels = edit.addInput("labels", tensorType("i64", shape.slice(0, -1)));
  const wanted = v("unsqueeze", [labels, edit.constant("loss.axis", i64([-1]))]);
  const log = v("log_softmax", [logits], { axis: -1 });
  const picked = v("reduce_mean", [v("gather_elements", [log, wanted], { axis: -1 })], { keepdims: 0 });
  const scaled = (x: Value, by: number): Value => v("mul", [x, edit.constant("loss.factor", fromNumbers(elemOf(logits), [], [by]))]);
  const loss =
    smoothing === 0 ? v("neg", [picked]) : v("add", [scaled(picked, smoothing - 1), scaled(v("reduce_mean", [log], { keepdims: 0 }), -smoothing)]);
  edit.addOutput("loss", loss);
  const right = v("equal", [v("arg_max", [logits], { axis: -1, keepdims: 1 }), wanted]);
  edit.addOutput("correct", v("reduce_sum", [v("cast", [right], { to: "f32" })], { keepdims: 0 }));
}

const elemOf = (v: Value) => (v.type.kind === "tensor" ? v.type.elem : "f32");
