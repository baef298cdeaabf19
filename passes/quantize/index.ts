/** Quantization: the `quantize` statement and the passes that it stands for. */

import { z } from "zod";
import { callOf, definePass, type PassDefinition } from "../../compiler/core/index.js";
import { dedupeConstants } from "../canonicalize/dedupe-constants.js";
import { eliminateDeadCode } from "../canonicalize/eliminate-dead-code.js";
import { absorbBias } from "./absorb-bias.js";
import { alignInput } from "./align-input.js";
import { annotateInt8 } from "./annotate-int8.js";
import { correctBias } from "./correct-bias.js";
import { equalize } from "./equalize.js";
import { materializeQdq } from "./materialize-qdq.js";
import { observe } from "./observe.js";
import { int8Options, type Override } from "./options.js";
import { placeInt8 } from "./place-int8.js";
import { quantizeDynamic } from "./quantize-dynamic.js";
import { recipeNames, recipeOptions, settingsOf } from "./recipes.js";
import { roundWeights } from "./rounding/round-weights.js";
import { smoothQuant } from "./smooth-quant.js";
import { tuneRanges } from "./tune-ranges.js";
import { validateQuantization } from "./validate-quantization.js";

/**
 * Post-training quantization. `int8`: weights and activations, ranges from calibration. `dynamic`: weights, and matrix products with run-time ranges.
 * `weights`: weights only, arithmetic in float.
 */
export const quantize = definePass({
  name: "quantize",
  summary: "Post-training quantization to INT8",
  description:
    "`quantize int8` expands to align-input (`align`), equalize (`equalize`), annotate-int8, observe, place-int8, round-weights (unless `rounding: nearest`), correct-bias (unless `bias: none`), validate-quantization, materialize-qdq; `quantize dynamic` and `quantize weights` to quantize-dynamic. `quantize weights` makes ONNX files smaller; a `.cecb` of it stores its weights as f32. Put `fold_batch_norm` and `fuse` before it.",
  from: "float",
  to: "quantized",
  keeps: "lossy",
  options: z
    .object({
      mode: z.enum(["int8", "dynamic", "weights"]).default("int8").describe("what is quantized"),
      recipe: z
        .enum(recipeNames)
        .optional()
        .describe(
          "int8: `fast`, one run over the data; `accurate`, with learned rounding; `best`, searched by measurement within `budget` (a build does the search, elsewhere it is `accurate`). Options that are given stand above it",
        ),
      budget: z.number().positive().optional().describe("recipe best: seconds for the search (default 120)"),
      ...int8Options,
      ...recipeOptions,
    })
    .strict(),
  positional: ["mode"],
  statistics: {},
  ignored(given) {
    const { mode = "int8", recipe } = given;
    if (mode !== "int8")
      return Object.keys(given)
        .filter((option) => !["mode", "weights", "keep"].includes(option))
        .map((option) => ({ option, why: `quantize ${String(mode)} takes \`weights\` and \`keep\`: the rest is of quantize int8` }));
    const { range, rounding } = settingsOf(recipe as never, given as never);
    const overrides = Object.values((given["overrides"] ?? {}) as Readonly<Record<string, Override>>);
    const unused: readonly (readonly [option: string, used: boolean, why: string])[] = [
      ["budget", recipe === "best", "only the recipe best searches"],
      ["learning", rounding !== "nearest" || recipe === "best", "weights are rounded to the nearest: `rounding` gptq or adaround learns"],
      [
        "percentile",
        range === "percentile" || recipe === "best" || overrides.some((v) => v.range === "percentile"),
        `ranges are chosen by ${range}: \`range: percentile\` uses it`,
      ],
    ];
    return unused.flatMap(([option, used, why]) => (given[option] === undefined || used ? [] : [{ option, why }]));
  },
  expand({
    mode,
    recipe,
    budget: _,
    range: givenRange,
    rounding: givenRounding,
    learning: givenLearning,
    bias: givenBias,
    align: givenAlign,
    equalize: givenEqualize,
    tune: givenTune,
    ...o
  }) {
    const tidy = [callOf(dedupeConstants), callOf(eliminateDeadCode)];
    if (mode !== "int8") return [callOf(quantizeDynamic, { weights: o.weights, keep: o.keep, matmul: mode === "dynamic" }), ...tidy];
    const {
      range,
      rounding,
      learning,
      bias,
      align,
      equalize: balanced,
      tune,
    } = settingsOf(recipe, {
      range: givenRange,
      rounding: givenRounding,
      learning: givenLearning as never,
      bias: givenBias,
      align: givenAlign,
      // What activations gain, weights lose; they have it to spare with a scale for each channel and no fewer bits.
      equalize: givenEqualize ?? (o.weights === "per_channel" && o.weight_bits >= o.activation_bits ? undefined : false),
      tune: givenTune,
    });
    return [
      ...(align ? [callOf(alignInput)] : []),
      // On the float graph, whose ranges it changes.
      ...(balanced ? [callOf(equalize, { of: "activations" })] : []),
      callOf(annotateInt8, { ...o, range, rounding }),
      callOf(observe, { bins: o.bins }),
      callOf(placeInt8, { placement: o.placement ?? "all", mixed_bits: o.mixed_bits }),
      ...(tune ? [callOf(tuneRanges)] : []),
      // Behind the ranges of activations, whose steps the biases have: they bound the scales of weights.
      ...(rounding === "nearest" ? [] : [callOf(roundWeights, { method: rounding, ...learning })]),
      // Behind rounding, whose errors it takes back.
      ...(bias === "none" ? [] : [callOf(correctBias, { method: bias, samples: recipe === "fast" ? 16 : 128 })]),
      // Every range is known now, and nothing has been changed yet.
      callOf(validateQuantization, { profile: o.profile }),
      callOf(materializeQdq, { pack: o.profile === "cpu" }),
      ...tidy,
    ];
  },
});

export const quantizePasses = [
  quantize,
  alignInput,
  equalize,
  absorbBias,
  smoothQuant,
  annotateInt8,
  observe,
  placeInt8,
  tuneRanges,
  roundWeights,
  correctBias,
  validateQuantization,
  materializeQdq,
  quantizeDynamic,
] as unknown as readonly PassDefinition[];
