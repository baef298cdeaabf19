/** Options of INT8 quantization that the statement and its passes share. */
import { z } from "zod";
import { learning, roundingMethods } from "./rounding/options.js";

export const rangeMethods = ["minmax", "moving_average", "percentile", "entropy", "mse"] as const;
export type RangeMethod = (typeof rangeMethods)[number];

const activations = z.enum(["asymmetric", "symmetric", "asymmetric_relu"]);

/** What can be set per op or tensor. */
export const overrideOptions = z
  .object({
    weights: z.enum(["per_channel", "per_tensor"]).optional(),
    weight_bits: z.number().int().min(2).max(8).optional(),
    activation_bits: z.number().int().min(2).max(8).optional(),
    activations: activations.optional(),
    range: z.enum(rangeMethods).optional(),
    percentile: z.number().gt(50).max(100).optional(),
    keep: z.boolean().optional().describe("leave the matching ops in float"),
  })
  .strict();
export type Override = z.infer<typeof overrideOptions>;

export const int8Options = {
  weights: z.enum(["per_channel", "per_tensor"]).default("per_channel").describe("one scale per output channel, or one per tensor"),
  weight_bits: z.number().int().min(2).max(8).default(8).describe("bits of the integers of weights: 4 and fewer are stored in i4, others in i8"),
  activation_bits: z
    .number()
    .int()
    .min(2)
    .max(8)
    .default(8)
    .describe("bits of the integers of activations: they are stored in u8 or i8, and clipped to the range of so many bits"),
  ends_bits: z
    .number()
    .int()
    .min(2)
    .max(8)
    .default(8)
    .describe("bits of the first and last layers where others have fewer: of their weights, of what they read, and of the last one's result"),
  weight_range: z
    .enum(["minmax", "mse"])
    .default("minmax")
    .describe("scales of weights: the greatest magnitude, or the clipped range with the least squared error (for few bits)"),
  activations: activations
    .default("asymmetric")
    .describe("asymmetric u8; symmetric i8; asymmetric_relu: u8 where the values are never negative, i8 symmetric elsewhere"),
  range: z.enum(rangeMethods).default("mse").describe("how ranges of activations are chosen from what calibration saw"),
  percentile: z.number().gt(50).max(100).default(99.99).describe("share of values inside the range, in percent (range: percentile)"),
  bins: z.number().int().min(128).max(65536).default(2048).describe("bins of the streamed histograms"),
  rounding: z
    .enum(roundingMethods)
    .default("nearest")
    .describe("how weights become integers: the nearest, or learned from calibration data (int8 only)"),
  learning: learning.prefault({}).describe("settings of learned rounding: see round-weights"),
  keep: z.array(z.string()).default([]).describe("names or patterns (`layer1.*`) of ops that stay in float"),
  overrides: z.record(z.string(), overrideOptions).default({}).describe("settings for ops or tensors whose name matches the key"),
  mixed_bits: z
    .number()
    .min(0)
    .max(64)
    .default(4)
    .describe(
      "a Concat stays in float, with what reads it, where a range shared with its neighbours costs an operand more bits of resolution than this",
    ),
  placement: z
    .enum(["all", "measured"])
    .optional()
    .describe(
      "all: whatever has a rule runs on INT8; measured: what is not faster so on this machine, conversions included, stays in float. Plans that require a latency in the native engine measure",
    ),
  profile: z
    .enum(["cpu", "tensorrt"])
    .default("cpu")
    .describe("target: cpu (ONNX Runtime, OpenVINO, our engine) or tensorrt (symmetric, QDQ on residual adds, float biases)"),
};

/** `*` stands for any characters, `?` for one; everything else for itself. */
export function globPattern(pattern: string): RegExp {
  const escaped = pattern
    .replace(/[.+^${}()|[\]\\]/g, "\\$&")
    .replace(/\*/g, ".*")
    .replace(/\?/g, ".");
  return new RegExp(`^${escaped}$`);
}

export const matcher = (patterns: readonly string[]): ((name: string) => boolean) => {
  const all = patterns.map(globPattern);
  return (name) => all.some((p) => p.test(name));
};
