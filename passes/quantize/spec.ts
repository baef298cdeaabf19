/**
 * Quantization specs: what the annotating pass writes on edges, as plain JSON in `op.annotations.quant`. Specs are frozen facts; one validating pass
 * holds them against the target, one later pass turns them into QDQ pairs.
 */

import { z } from "zod";
import type { Op } from "../../compiler/core/index.js";

const stored = z.enum(["u8", "i8"]);

/** How one activation or weight is stored. */
export const edgeSpec = z.discriminatedUnion("kind", [
  /** Parameters are known. */
  z
    .object({
      kind: z.literal("fixed"),
      type: stored,
      scale: z.array(z.number()),
      zeroPoint: z.array(z.number()),
      axis: z.number().nullable(),
      /** Bits of the integers: see `integersOf`. Default 8. */
      bits: z.number().int().min(2).max(8).optional(),
      /** Weights: the constant of the graph that holds the integers, at these scales. Default: the nearest. */
      integers: z.string().optional(),
    })
    .strict(),
  /** Parameters come from observing the value on calibration data. */
  z
    .object({
      kind: z.literal("observed"),
      scheme: z.enum(["asymmetric", "symmetric"]),
      range: z.string(),
      percentile: z.number().optional(),
      type: stored,
      bits: z.number().int().min(2).max(8).optional(),
    })
    .strict(),
  /** Parameters are those of another value. */
  z.object({ kind: z.literal("sharedWith"), value: z.string() }).strict(),
  /** An i32 bias in steps of activation times weight. */
  z.object({ kind: z.literal("derivedFrom"), from: z.array(z.string()) }).strict(),
]);
export type EdgeSpec = z.infer<typeof edgeSpec>;
export type FixedSpec = Extract<EdgeSpec, { kind: "fixed" }>;
export type ObservedSpec = Extract<EdgeSpec, { kind: "observed" }>;

/** Least and greatest integer of an activation: all of u8 or i8; of fewer bits 0..2^bits - 1, or as many on both sides of 0. */
export const integersOf = (type: "u8" | "i8", bits = 8): readonly [number, number] =>
  type === "u8" ? [0, 2 ** bits - 1] : bits === 8 ? [-128, 127] : [1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1];

/** `{ bits }` where they are not 8: what specs leave out. */
export const withBits = (bits: number | undefined): { readonly bits?: number } => (bits === undefined || bits === 8 ? {} : { bits });

/** Specs of one op: operands and results by position, `null` where an edge stays float. */
export const opSpec = z.object({ inputs: z.array(edgeSpec.nullable()), outputs: z.array(edgeSpec.nullable()) }).strict();
export type OpSpec = z.infer<typeof opSpec>;

/** What was parsed before: annotations are replaced, never changed, and every pass reads them all. */
const parsed = new WeakMap<object, OpSpec>();

export function readSpec(op: Op): OpSpec | null {
  const json = op.annotations["quant"];
  if (json === undefined) return null;
  const known = typeof json === "object" && json !== null ? parsed.get(json) : undefined;
  if (known !== undefined) return known;
  const spec = opSpec.parse(json);
  parsed.set(json as object, spec);
  return spec;
}

/** Annotation of a Concat: by value name, the range that each value which shares the Concat's would have alone. */
export const OWN_RANGES = "own-ranges";
const ownRange = z
  .object({ low: z.number(), high: z.number(), type: stored, scheme: z.enum(["asymmetric", "symmetric"]), bits: z.number().optional() })
  .strict();
export type OwnRange = z.infer<typeof ownRange>;
export const readOwnRanges = (op: Op): Readonly<Record<string, OwnRange>> =>
  op.annotations[OWN_RANGES] === undefined ? {} : z.record(z.string(), ownRange).parse(op.annotations[OWN_RANGES]);
