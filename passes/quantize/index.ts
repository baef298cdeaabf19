/** Quantization: the `quantize` statement and the passes that it stands for. */

import { z } from "zod";
import { definePass, type PassCall, type PassDefinition } from "../../compiler/core/index.js";
import { dedupeConstants } from "../canonicalize/dedupe-constants.js";
import { eliminateDeadCode } from "../canonicalize/eliminate-dead-code.js";
import { annotateInt8 } from "./annotate-int8.js";
import { materializeQdq } from "./materialize-qdq.js";
import { observe } from "./observe.js";
import { int8Options } from "./options.js";
import { placeInt8 } from "./place-int8.js";
import { quantizeDynamic } from "./quantize-dynamic.js";
import { validateQuantization } from "./validate-quantization.js";

const call = (pass: unknown, options: Readonly<Record<string, unknown>> = {}): PassCall => ({ pass: pass as PassDefinition, options });

/**
 * Post-training quantization. `int8`: weights and activations, ranges from calibration. `dynamic`: weights, and matrix products with run-time ranges.
 * `weights`: weights only, arithmetic in float.
 */
export const quantize = definePass({
  name: "quantize",
  summary: "Post-training quantization to INT8",
  description:
    "`quantize int8` expands to annotate-int8, observe, place-int8, validate-quantization, materialize-qdq; `quantize dynamic` and `quantize weights` to quantize-dynamic. Put `fold_batch_norm` and `fuse` before it.",
  from: "float",
  to: "quantized",
  keeps: "lossy",
  options: z.object({ mode: z.enum(["int8", "dynamic", "weights"]).default("int8").describe("what is quantized"), ...int8Options }).strict(),
  positional: ["mode"],
  statistics: {},
  expand({ mode, ...o }) {
    const tidy = [call(dedupeConstants), call(eliminateDeadCode)];
    if (mode !== "int8") return [call(quantizeDynamic, { weights: o.weights, keep: o.keep, matmul: mode === "dynamic" }), ...tidy];
    return [
      call(annotateInt8, o),
      call(observe, { bins: o.bins }),
      call(placeInt8, { placement: o.placement ?? "all", mixed_bits: o.mixed_bits }),
      // Every range is known now, and nothing has been changed yet.
      call(validateQuantization, { profile: o.profile }),
      call(materializeQdq),
      ...tidy,
    ];
  },
});

export const quantizePasses = [
  quantize,
  annotateInt8,
  observe,
  placeInt8,
  validateQuantization,
  materializeQdq,
  quantizeDynamic,
] as unknown as readonly PassDefinition[];
