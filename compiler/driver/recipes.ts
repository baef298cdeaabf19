/** Named pipelines of `cec quantize`: the steps that a plan would list. */
import type { PlanStep } from "../../dsl/index.js";
import { commandLine } from "./references.js";

interface Recipe {
  readonly summary: string;
  /** Needs calibration data. */
  readonly calibrates: boolean;
  readonly steps: readonly (readonly [name: string, options: Readonly<Record<string, unknown>>])[];
}

const prepare: Recipe["steps"] = [
  ["fold_batch_norm", {}],
  ["canonicalize", {}],
  ["fuse", {}],
];

const int8 = (options: Readonly<Record<string, unknown>>): Recipe["steps"] => [...prepare, ["quantize", { mode: "int8", ...options }]];

export const recipes = {
  fast: {
    summary: "INT8 from one run over the data: ranges of least squared error, biases corrected",
    calibrates: true,
    steps: int8({ recipe: "fast" }),
  },
  accurate: {
    summary: "INT8 with learned rounding and measured bias correction (the default)",
    calibrates: true,
    steps: int8({ recipe: "accurate" }),
  },
  best: { summary: "INT8, searched by measurement on held-back samples within --budget", calibrates: true, steps: int8({ recipe: "best" }) },
  mse: { summary: "INT8; ranges with the least squared error", calibrates: true, steps: int8({ range: "mse" }) },
  minmax: { summary: "INT8; ranges cover all that calibration saw", calibrates: true, steps: int8({ range: "minmax" }) },
  percentile: { summary: "INT8; ranges cover 99.99 % of what calibration saw", calibrates: true, steps: int8({ range: "percentile" }) },
  entropy: { summary: "INT8; ranges with the least Kullback-Leibler divergence", calibrates: true, steps: int8({ range: "entropy" }) },
  tensorrt: {
    summary: "INT8 for TensorRT: symmetric, residual adds in QDQ, float biases",
    calibrates: true,
    steps: int8({ range: "mse", profile: "tensorrt" }),
  },
  dynamic: {
    summary: "weights to INT8; matrix products with ranges found at run time (no data needed)",
    calibrates: false,
    steps: [...prepare, ["quantize", { mode: "dynamic" }]],
  },
  weights: {
    summary: "weights to INT8, arithmetic in float (no data needed)",
    calibrates: false,
    steps: [...prepare, ["quantize", { mode: "weights" }]],
  },
} as const satisfies Record<string, Recipe>;

export type RecipeName = keyof typeof recipes;

/** The recipe's steps, with further options of `quantize`. */
export const recipeSteps = (name: RecipeName, extra: Readonly<Record<string, unknown>>): PlanStep[] =>
  (recipes[name] as Recipe).steps.map(([step, options]) => ({
    name: step,
    options: step === "quantize" ? { ...options, ...extra } : options,
    data: [],
    models: [],
    span: commandLine,
  }));
