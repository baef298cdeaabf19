/** Passes that keep what a float graph computes and make it smaller or easier to compress. */

import { z } from "zod";
import { callOf, definePass, type PassDefinition } from "../../compiler/core/index.js";
import { dedupeConstants } from "./dedupe-constants.js";
import { eliminateDeadCode } from "./eliminate-dead-code.js";
import { foldBatchNorm } from "./fold-batch-norm.js";
import { foldConstants } from "./fold-constants.js";
import { fuseActivation } from "./fuse-activation.js";
import { fuseGelu } from "./fuse-gelu.js";
import { fuseHardSwish } from "./fuse-hard-swish.js";
import { fuseLayerNorm } from "./fuse-layer-norm.js";
import { fuseMatmulAdd } from "./fuse-matmul-add.js";
import { fuseResidual } from "./fuse-residual.js";
import { inferShapes } from "./infer-shapes.js";
import { mergeCommonSubexpressions } from "./merge-common-subexpressions.js";
import { cleanUpOptions, removeIdentity } from "./remove-identity.js";
import { simplifyTransposes } from "./simplify-transposes.js";

export {
  dedupeConstants,
  eliminateDeadCode,
  foldBatchNorm,
  foldConstants,
  fuseActivation,
  fuseGelu,
  fuseHardSwish,
  fuseLayerNorm,
  fuseMatmulAdd,
  fuseResidual,
  inferShapes,
  mergeCommonSubexpressions,
  removeIdentity,
  simplifyTransposes,
};

/** The clean-up that every import goes through. Run twice it changes nothing. */
export const canonicalize = definePass({
  name: "canonicalize",
  summary: "Shape inference, constant folding, and removal of what does nothing",
  description:
    "Expands to infer-shapes, fold-constants, remove-identity, simplify-transposes, merge-common-subexpressions, dedupe-constants, eliminate-dead-code.",
  from: "float",
  to: "float",
  keeps: "values",
  options: z.object(cleanUpOptions).strict(),
  statistics: {},
  expand: (options) => [
    callOf(inferShapes),
    callOf(foldConstants),
    callOf(removeIdentity, options),
    // Removed identities and folded targets make more shapes known: once more.
    callOf(inferShapes),
    callOf(foldConstants),
    callOf(simplifyTransposes),
    // Equal constants first, so that ops that read them become equal.
    callOf(dedupeConstants),
    callOf(mergeCommonSubexpressions),
    callOf(eliminateDeadCode),
  ],
});

/** Fusions in the order in which they make room for each other. */
export const fuse = definePass({
  name: "fuse",
  summary: "Recognize decomposed ops and fuse activations",
  description:
    "Expands to eliminate-dead-code, fuse-layer-norm, fuse-gelu, fuse-hard-swish, fuse-matmul-add, fuse-activation, with `residual: true` fuse-residual, and eliminate-dead-code again.",
  from: "float",
  to: "float",
  keeps: "values",
  options: z
    .object({
      residual: z.boolean().default(false).describe("also fuse residual adds into convolutions: faster in float, but INT8 on CPUs wants them apart"),
    })
    .strict(),
  statistics: {},
  expand: ({ residual }) => [
    // Dead readers would look like readers, and stop fusions.
    callOf(eliminateDeadCode),
    // Before activations: their patterns hold clips and adds that would be fused away.
    callOf(fuseLayerNorm),
    callOf(fuseGelu),
    callOf(fuseHardSwish),
    callOf(fuseMatmulAdd),
    callOf(fuseActivation),
    // After activations, so that an add brings its own along.
    ...(residual ? [callOf(fuseResidual)] : []),
    callOf(eliminateDeadCode),
  ],
});

export const canonicalizePasses = [
  canonicalize,
  inferShapes,
  foldConstants,
  removeIdentity,
  simplifyTransposes,
  mergeCommonSubexpressions,
  dedupeConstants,
  eliminateDeadCode,
  foldBatchNorm,
  fuse,
  fuseLayerNorm,
  fuseGelu,
  fuseHardSwish,
  fuseMatmulAdd,
  fuseActivation,
  fuseResidual,
] as unknown as readonly PassDefinition[];
