/** Training as rewrites of the graph: a loss, its gradients, the optimizer's step. */
import type { PassDefinition } from "../../compiler/core/index.js";
import { addLoss } from "./add-loss.js";
import { applyOptimizer } from "./apply-optimizer.js";
import { autodiff } from "./autodiff.js";
import { distill } from "./distill.js";
import { distillLoss } from "./distill-loss.js";
import { fakeQuantize } from "./fake-quantize.js";
import { fuseBatchNormRelu } from "./fuse-batch-norm-relu.js";
import { halfPrecision } from "./half-precision.js";
import { qat, trainInt8 } from "./qat.js";
import { recomputeActivations } from "./recompute-activations.js";
import { sampleDropout } from "./sample-dropout.js";
import { train } from "./train.js";
import { unrollRecurrent } from "./unroll-recurrent.js";
import { untieVectors } from "./untie-vectors.js";

export { addLoss } from "./add-loss.js";
export { applyOptimizer, initialStates, LOSS_SCALES, optimizerOptions, statesOf } from "./apply-optimizer.js";
export { autodiff, gradientName, LOSS_SCALE, nextName } from "./autodiff.js";
export { distill } from "./distill.js";
export { distillLoss } from "./distill-loss.js";
export { fakeQuantize } from "./fake-quantize.js";
export { fuseBatchNormRelu } from "./fuse-batch-norm-relu.js";
export { differentiable } from "./gradients/index.js";
export { halfPrecision } from "./half-precision.js";
export { qat, trainInt8 } from "./qat.js";
export { recomputeActivations } from "./recompute-activations.js";
export { drops, sampleDropout, withoutMasks } from "./sample-dropout.js";
export { train } from "./train.js";
export { unrollRecurrent } from "./unroll-recurrent.js";
export { untieVectors } from "./untie-vectors.js";

export const trainPasses = [
  train,
  distill,
  qat,
  fakeQuantize,
  trainInt8,
  addLoss,
  distillLoss,
  unrollRecurrent,
  untieVectors,
  sampleDropout,
  autodiff,
  applyOptimizer,
  fuseBatchNormRelu,
  halfPrecision,
  recomputeActivations,
] as unknown as readonly PassDefinition[];
