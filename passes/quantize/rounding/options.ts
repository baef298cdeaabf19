/** Options of learned rounding, which the statement `quantize` and the pass `round-weights` share. */
import { z } from "zod";

export const roundingMethods = ["nearest", "adaround", "gptq"] as const;
export type RoundingMethod = (typeof roundingMethods)[number];

/** Of the methods that need data. */
export const learningOptions = {
  samples: z.number().int().min(1).default(1024).describe("calibration samples that are run, at most"),
  rows: z.number().int().min(16).max(1_048_576).default(16384).describe("columns of a layer's input that are taken, at most"),
  damping: z.number().positive().max(1).default(0.01).describe("share of the mean second moment that is added to all of them"),
  iterations: z.number().int().min(0).max(100_000).default(500).describe("adaround: steps of the optimizer"),
  regularization: z.number().positive().default(0.5).describe("adaround: weight of the term that drives choices to up or down"),
  act_order: z.boolean().default(true).describe("gptq: weights of large inputs first"),
  pair_sweeps: z.number().int().min(0).max(16).default(1).describe("sweeps that change two integers at a time, at the end"),
  memory: z
    .number()
    .int()
    .min(1)
    .max(65536)
    .default(128)
    .describe("MiB for statistics and kept activations: layers are taken in as many runs as that needs"),
};

export const learning = z.object(learningOptions).strict();
export type Learning = z.infer<typeof learning>;
