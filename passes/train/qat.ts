import { z } from "zod";
import { callOf, definePass, type Json, type Op, type PassCall, runPipeline } from "../../compiler/core/index.js";
import { dedupeConstants } from "../canonicalize/dedupe-constants.js";
import { eliminateDeadCode } from "../canonicalize/eliminate-dead-code.js";
import { foldBatchNorm } from "../canonicalize/fold-batch-norm.js";
import { annotateInt8 } from "../quantize/annotate-int8.js";
import { materializeQdq } from "../quantize/materialize-qdq.js";
import { observe } from "../quantize/observe.js";
import { int8Options } from "../quantize/options.js";
import { placeInt8 } from "../quantize/place-int8.js";
import { validateQuantization } from "../quantize/validate-quantization.js";
import { addLoss } from "./add-loss.js";
import { adoptOutcome, courseOptions, courseStatistics, lossOptions, runCourse, withConstants } from "./course.js";
import { type FakeEdges, trainedSpecs } from "./fake-edges.js";
import { fakeQuantizing } from "./fake-quantize.js";
import { parametersOf } from "./parameters.js";
import { untieVectors } from "./untie-vectors.js";

const { weights, weight_bits, activation_bits, ends_bits, activations, range, percentile, bins, overrides, mixed_bits, profile } = int8Options;

/** Options of the training itself; defaults are those of a pretrained model. */
const trainingOptions = {
  ...courseOptions,
  epochs: courseOptions.epochs.removeDefault().default(2),
  rate: courseOptions.rate.removeDefault().default(0.001),
  checkpoint: courseOptions.checkpoint.removeDefault().default("qat.ckpt"),
  decay: courseOptions.decay.removeDefault().default("matrices"),
  batch_norm: courseOptions.batch_norm
    .removeDefault()
    .default("frozen")
    .describe("of those that could not be folded: `frozen`, as they will be at inference, or by the batch"),
  learned_step: z
    .boolean()
    .default(true)
    .describe(
      "learn the steps with the weights (LSQ, Esser et al. 2020); false: steps of weights follow the weights, ranges of activations are moving averages of their extremes",
    ),
  freeze: z.number().min(0).max(1).default(0.5).describe("learned_step false: part of the training after which ranges of activations stay"),
  ...lossOptions,
} as const;

/** Which specs the graph gets before it is trained. */
const quantizationOptions = {
  weights,
  weight_bits,
  weight_range: int8Options.weight_range.removeDefault().default("mse").describe("scales of weights that training starts from: as in `quantize`"),
  activation_bits,
  ends_bits,
  activations,
  range,
  percentile,
  bins,
  keep_float: int8Options.keep.removeDefault().default([]).describe("names or patterns (`layer1.*`) of ops that stay in float"),
  overrides,
  mixed_bits,
  placement: int8Options.placement,
  profile,
} as const;

/**
 * Trains an annotated graph: a copy with fake quantization becomes a training graph; weights, and the ranges and scales of the specs, become what it ends with.
 * What `validate` measures is the integer graph of these.
 */
export const trainInt8 = definePass({
  name: "train-int8",
  summary: "Train the weights of an annotated graph, and its ranges, for the integers that it will have",
  from: "annotated",
  to: "same",
  keeps: "lossy",
  options: z.object({ ...trainingOptions, profile }).strict(),
  positional: ["data"],
  statistics: { ...courseStatistics, learned: "steps of quantization that were learned" },
  async run(context) {
    const { graph, options: o, rewrite, count, warn } = context;
    for (const op of graph.opsOf("batch_normalization"))
      warn("CEC4021", `batch normalization "${op.name}" could not be folded: it stays in float, and is trained ${o.batch_norm}`, { node: op.name });
    const copy = graph.clone();
    const names = (patterns: readonly string[] | undefined): string[] => parametersOf(copy, patterns).map((op) => op.outputs[0]?.name as string);
    const trained = names(o.parameters);
    let edges: FakeEdges = { activations: new Map(), layers: new Map() };
    const insert = fakeQuantizing((found) => {
      edges = found;
    });
    await runPipeline(copy, [{ pass: insert, options: { steps: o.learned_step ? "learned" : "observed", freeze: o.freeze } }], { verify: "off" });
    const steps = [...edges.activations.values(), ...edges.layers.values()].flatMap((e) => (e.kind === "learned" ? [e.step.name] : []));
    const outcome = await runCourse(
      context,
      { ...o, parameters: [...trained, ...steps] },
      {
        statement: "qat",
        graph: copy,
        loss: [callOf(addLoss, { kind: o.loss, label_smoothing: o.label_smoothing })],
        output: graph.outputs[0]?.name ?? "",
        async deploy(states) {
          const specs = trainedSpecs(graph, edges, states);
          const model = withConstants(graph, states);
          const byName = new Map([...specs].map(([op, spec]) => [nameOf(op), spec]));
          for (const op of model.ops) {
            const quant = byName.get(nameOf(op));
            if (quant !== undefined) op.annotations = { ...op.annotations, quant };
          }
          await runPipeline(model, integers(o.profile), { verify: "off" });
          return model;
        },
      },
    );
    const specs = trainedSpecs(graph, edges, outcome.states);
    adoptOutcome(context, outcome, "trained");
    for (const [op, quant] of specs)
      if (JSON.stringify(quant) !== JSON.stringify(op.annotations["quant"])) rewrite.annotate(op, "quant", quant as Json, "as trained");
    count("learned", steps.length);
  },
});

const nameOf = (op: Op): string => op.outputs[0]?.name ?? op.name;

/** From specs to the graph that runs on integers. */
const integers = (target: "cpu" | "tensorrt"): PassCall[] => [
  callOf(validateQuantization, { profile: target }),
  callOf(materializeQdq, { pack: target === "cpu" }),
  callOf(dedupeConstants),
  callOf(eliminateDeadCode),
];

/**
 * Quantization-aware training: what `quantize int8` would round is rounded in float while the model is trained, and then stored by the same pass.
 */
export const qat = definePass({
  name: "qat",
  summary: "Quantization-aware training",
  description:
    "Expands to fold-batch-norm, untie-vectors, annotate-int8, observe, place-int8, validate-quantization, train-int8, validate-quantization, materialize-qdq: specs and ranges come from the passes of `quantize int8` and the plan's `calibrate`, training from the options of `train`. Put `fold_batch_norm`, `canonicalize` and `fuse` before it. Jacob et al. 2018; Esser et al. 2020.",
  from: "float",
  to: "quantized",
  keeps: "lossy",
  options: z.object({ mode: z.enum(["int8"]).default("int8").describe("what is quantized"), ...trainingOptions, ...quantizationOptions }).strict(),
  positional: ["mode"],
  statistics: {},
  expand({ mode: _, ...o }) {
    const {
      keep_float,
      placement,
      mixed_bits: mixed,
      ...given
    } = Object.fromEntries(Object.keys(quantizationOptions).map((k) => [k, o[k as keyof typeof o]])) as Pick<
      typeof o,
      keyof typeof quantizationOptions
    >;
    const training = Object.fromEntries(
      Object.keys(trainingOptions).flatMap((k) => (o[k as keyof typeof o] === undefined ? [] : [[k, o[k as keyof typeof o]]])),
    );
    return [
      callOf(foldBatchNorm),
      callOf(untieVectors),
      callOf(annotateInt8, { ...given, keep: keep_float }),
      callOf(observe, { bins: o.bins }),
      callOf(placeInt8, { placement: placement ?? "all", mixed_bits: mixed }),
      // Before the training, not only after it.
      callOf(validateQuantization, { profile: o.profile }),
      callOf(trainInt8, { ...training, profile: o.profile }),
      ...integers(o.profile),
    ];
  },
});
