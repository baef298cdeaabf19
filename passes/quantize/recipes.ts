/** Recipes of `quantize int8`: settings that were found good together. What a plan gives itself stands above them. */
import { z } from "zod";
import { int8Options, type RangeMethod } from "./options.js";
import { type Learning, learning } from "./rounding/options.js";

/** Values of the option `recipe`. */
export const recipeNames = ["fast", "accurate", "best"] as const;
export type RecipeName = (typeof recipeNames)[number];

/** Values of the option `bias`. */
export const biasMethods = ["none", "fast", "full"] as const;

/** What a recipe settles. */
export interface Int8Settings {
  readonly range: RangeMethod;
  readonly rounding: "nearest" | "adaround" | "gptq";
  readonly learning: Partial<Learning>;
  readonly bias: (typeof biasMethods)[number];
  readonly align: boolean;
  readonly equalize: boolean;
  readonly tune: boolean;
}

/** Without a recipe: ranges and nothing else. */
const plain: Int8Settings = { range: "mse", rounding: "nearest", learning: {}, bias: "none", align: false, equalize: false, tune: false };

const fast: Int8Settings = { ...plain, align: true, bias: "fast" };

/** Samples and columns that settle the second moments of the benches' models, judged on held-back calibration samples. */
const accurate: Int8Settings = {
  range: "mse",
  rounding: "gptq",
  learning: { samples: 256, rows: 16384, pair_sweeps: 0, memory: 64 },
  bias: "fast",
  align: true,
  equalize: true,
  tune: false,
};

const recipes: { readonly [R in RecipeName]: Int8Settings } = { fast, accurate, best: accurate };

/** Options of `quantize` whose default is the recipe's. */
export const recipeOptions = {
  range: int8Options.range.removeDefault().optional().describe("how ranges of activations are chosen from what calibration saw (default mse)"),
  rounding: int8Options.rounding
    .removeDefault()
    .optional()
    .describe("how weights become integers: the nearest, or learned from calibration data (default nearest; accurate: gptq)"),
  learning: learning.optional().describe("settings of learned rounding, in place of the recipe's: see round-weights"),
  bias: z
    .enum(biasMethods)
    .optional()
    .describe("bias correction: from statistics of the float graph (fast), or measured on the quantized one (default none; recipes correct)"),
  tune: z.boolean().optional().describe("choose ranges by the error behind the ops that read them: see tune-ranges (default false)"),
  align: z.boolean().optional().describe("store image inputs on their own 8-bit grid: see align-input (default false; recipes align)"),
  equalize: z
    .boolean()
    .optional()
    .describe(
      "scale channels so that activations round with less error: see equalize, activations (default false; accurate: true, where weights have scales per channel and no fewer bits)",
    ),
};

/** Settings of a recipe (none: ranges alone), under what the plan gives itself. */
export function settingsOf(
  recipe: RecipeName | undefined,
  given: { readonly [K in keyof Int8Settings]?: Int8Settings[K] | undefined },
): Int8Settings {
  const base = recipe === undefined ? plain : recipes[recipe];
  return {
    range: given.range ?? base.range,
    rounding: given.rounding ?? base.rounding,
    learning: given.learning ?? base.learning,
    bias: given.bias ?? base.bias,
    align: given.align ?? base.align,
    equalize: given.equalize ?? base.equalize,
    tune: given.tune ?? base.tune,
  };
}
