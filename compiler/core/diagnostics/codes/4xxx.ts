/** Codes about graphs and passes. */
import type { CodeText } from "./index.js";

export const codes4 = {
  CEC4001: { title: "Operands do not fit the operator", text: "Types, ranks or sizes break the rule of the operator's specification." },
  CEC4002: {
    title: "IR text does not parse",
    text: "The file is no IR text of version `cir 1`, or it has a fault at the place shown. The grammar stands in docs/ir-text.md.",
  },
  CEC4003: {
    title: "Graph breaks a rule of the IR",
    text: "The verifier found a value that is used before it is made, a duplicate name, an attribute that is no attribute of its op, or a type that inference contradicts.",
  },
  CEC4004: {
    title: "Passes do not chain",
    text: "A pass takes graphs of certain levels (float, annotated, quantized, lowered), and the pass before gives another.",
  },
  CEC4005: {
    title: "Pass changed values that it promised to keep",
    text: "`--verify=numeric` ran the graph before and after the pass on calibration samples, and the outputs differ by more than rounding explains.",
  },
  CEC4006: {
    title: "Pass needs calibration data",
    text: "Ranges of activations are observed on samples: add `calibrate DATA` to the plan, or `--calibrate` to the command.",
  },
  CEC4007: { title: "NaN or infinity in weights or activations", text: "Ranges cannot be chosen from values that are not finite." },
  CEC4008: { title: "Quantization does not fit the target", text: "The validating pass found a scheme that the profile's runtimes do not run." },
  CEC4009: { title: "Plug-in pass failed", text: "A pass loaded by `use` threw an exception." },
  CEC4010: { title: "Blob is not at hand", text: "IR text refers to constants by hash; the store beside it does not hold this one." },
  CEC4011: { title: "Op or tensor pattern matches nothing", text: "A name in `keep` or `overrides` matches no node of the graph." },
  CEC4013: {
    title: "Op has no gradient",
    text: "The loss depends on a parameter through an op that training cannot go back through: the message names it and says why. Freeze the parameters before it (`parameters`), or write the model with another op.",
  },
  CEC4014: { title: "Nothing to train", text: "No parameter of the graph reaches the loss, or a name in `parameters` matches none." },
  CEC4015: {
    title: "Loss does not fit the graph",
    text: "The output that the loss is taken of is not there, or its shape is not the one that the loss takes.",
  },
  CEC4016: {
    title: "Training needs data and an engine",
    text: "`train` and `distill` run in `cec build`, on the data sets that the plan declares and in the native engine.",
  },
  CEC4017: {
    title: "Training diverged",
    text: "The loss became NaN or infinite, or grew beyond any use. The message names the step and the first op whose result is not finite. Use a smaller learning rate, a warm-up, or `clip_norm`; look for zeros under a division or a logarithm.",
  },
  CEC4019: {
    title: "Teacher does not fit the student",
    text: "`distill` runs both on the same samples: the teacher takes the student's inputs and gives logits of the same classes, and paired hidden tensors have one height and width.",
  },
  CEC4018: {
    title: "Training step does not fit the memory budget",
    text: "However much is made again, a step needs more working memory than the budget of `recompute_activations`. The message names the least.",
  },
  CEC4012: { title: "No patch is at fault", text: "The bisection needs a pipeline whose result is bad and whose source is good." },
  CEC4020: {
    title: "Times of ops cannot be measured",
    text: "`placement: measured` needs an engine that times single ops, and a calibration sample to run: the native engine does, ONNX Runtime does not.",
  },
  CEC4021: {
    title: "Batch normalization stays in float",
    text: "Quantization-aware training trains the graph that inference will run, where batch normalization is part of the convolution before it. One that stands elsewhere cannot be folded: it stays in float, with its running statistics unless `batch_norm: batch` is given.",
  },
  CEC4022: {
    title: "Most of training was lost in f16",
    text: "More than half of the steps were skipped because gradients overflowed, or more than half of the gradients became 0. The model is trained by what was left: change `loss_scale`, or train with `precision: f32`.",
  },
  CEC4030: {
    title: "Pass changed nothing",
    text: "The plan calls a pass that found nothing to do. The message says what it looks for; often another pass must stand before it: `fold_batch_norm` and `fuse` make the forms that `equalize`, `absorb_bias` and `smooth_quant` read.",
  },
  CEC4031: {
    title: "Model is quantized already",
    text: "Ops between QuantizeLinear and DequantizeLinear, or in integer form, are left as they are: quantization adds to a float model. Quantize the float model anew, with other settings.",
  },
  CEC4032: {
    title: "Option without effect",
    text: "The option is known, and nothing uses it beside the others that were given: `budget` is the time of the recipe best, `learning` needs a rounding that learns. What was meant may be another setting.",
  },
  CEC4033: {
    title: "Training without dropout",
    text: "A plan's clean-up before a statement that trains takes dropout out of the model, as for inference: the model is trained without it. `canonicalize { keep_dropout: true }` leaves it in; it is removed after the last statement that trains. Dropout whose ratio is computed, or no part of 1, or whose mask is read, cannot drop either.",
  },
} as const satisfies Record<string, CodeText>;
