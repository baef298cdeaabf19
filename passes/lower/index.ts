/** From a float or quantized graph to the ops that the native engine runs. */
import { callOf, type PassCall, type PassDefinition } from "../../compiler/core/index.js";
import { eliminateDeadCode } from "../canonicalize/eliminate-dead-code.js";
import { fuseActivation } from "../canonicalize/fuse-activation.js";
import { fuseResidual } from "../canonicalize/fuse-residual.js";
import { simplifyTransposes } from "../canonicalize/simplify-transposes.js";
import { assignLayout } from "./assign-layout.js";
import { foldWeights } from "./fold-weights.js";
import { fuseQuantizedResidual } from "./fuse-quantized-residual.js";
import { lowerFloat } from "./lower-float.js";
import { lowerQdq } from "./lower-qdq.js";
import { lowerTraining } from "./lower-training.js";

export { supportedByNative, unsupportedReason } from "./engine-kinds.js";

export const lowerPasses = [
  lowerQdq,
  foldWeights,
  lowerFloat,
  lowerTraining,
  assignLayout,
  fuseQuantizedResidual,
] as unknown as readonly PassDefinition[];

export interface LowerOptions {
  /** Precision of products of f32 tensors (see lower_float). */
  readonly precision?: "f32" | "bf16";
}

/** The passes that every graph goes through on its way to the engine. `level` is the graph's level before. */
export function lowerPipeline(level: string, { precision = "f32" }: LowerOptions = {}): PassCall[] {
  return [
    // Float graphs only: a quantized graph has its fusions already, and residual adds of INT8 run on integers.
    ...(level === "float" ? [callOf(fuseActivation), callOf(fuseResidual)] : []),
    callOf(lowerQdq),
    // After integer ops took theirs, before float ops look for constant weights.
    callOf(foldWeights),
    callOf(lowerFloat, { precision }),
    // What it left: weights that are state.
    callOf(lowerTraining),
    // Twice: transposes that cancel make further ops see a channels-last operand.
    callOf(assignLayout),
    callOf(simplifyTransposes),
    callOf(assignLayout),
    callOf(simplifyTransposes),
    // Where no transpose stands between them any more.
    callOf(fuseQuantizedResidual),
    callOf(eliminateDeadCode),
  ];
}
