/** The table of op kinds. Adding an op: its file beside this one, and a line here. */
import type { OpDefinition } from "../op.js";
import { abs } from "./abs.js";
import { acos } from "./acos.js";
import { acosh } from "./acosh.js";
import { add } from "./add.js";
import { and } from "./and.js";
import { argMax } from "./arg_max.js";
import { argMin } from "./arg_min.js";
import { asin } from "./asin.js";
import { asinh } from "./asinh.js";
import { atan } from "./atan.js";
import { atanh } from "./atanh.js";
import { averagePool } from "./average_pool.js";
import { batchNormalization } from "./batch_normalization.js";
import { carry } from "./carry.js";
import { cast } from "./cast.js";
import { castLike } from "./cast_like.js";
import { ceil } from "./ceil.js";
import { celu } from "./celu.js";
import { clip } from "./clip.js";
import { concat } from "./concat.js";
import { constant } from "./constant.js";
import { constantOfShape } from "./constant_of_shape.js";
import { conv } from "./conv.js";
import { convInteger } from "./conv_integer.js";
import { convTranspose } from "./conv_transpose.js";
import { cos } from "./cos.js";
import { cosh } from "./cosh.js";
import { cpuAveragePool } from "./cpu/average_pool.js";
import { cpuConv } from "./cpu/conv.js";
import { cpuConvTranspose } from "./cpu/conv_transpose.js";
import { cpuConvTransposeVariable } from "./cpu/conv_transpose_variable.js";
import { cpuConvVariable } from "./cpu/conv_variable.js";
import { cpuGemm } from "./cpu/gemm.js";
import { cpuGlobalAveragePool } from "./cpu/global_average_pool.js";
import { cpuGlobalMaxPool } from "./cpu/global_max_pool.js";
import { cpuLut } from "./cpu/lut.js";
import { cpuMaxPool } from "./cpu/max_pool.js";
import { cpuQadd } from "./cpu/qadd.js";
import { cpuQconv } from "./cpu/qconv.js";
import { cpuQgemm } from "./cpu/qgemm.js";
import { cpuQmul } from "./cpu/qmul.js";
import { cpuRequantize } from "./cpu/requantize.js";
import { cumSum } from "./cum_sum.js";
import { depthToSpace } from "./depth_to_space.js";
import { dequantizeLinear } from "./dequantize_linear.js";
import { div } from "./div.js";
import { dropout } from "./dropout.js";
import { dynamicQuantizeLinear } from "./dynamic_quantize_linear.js";
import { einsum } from "./einsum.js";
import { elu } from "./elu.js";
import { equal } from "./equal.js";
import { erf } from "./erf.js";
import { exp } from "./exp.js";
import { expand } from "./expand.js";
import { flatten } from "./flatten.js";
import { floor } from "./floor.js";
import { gather } from "./gather.js";
import { gatherElements } from "./gather_elements.js";
import { gatherNd } from "./gather_nd.js";
import { gelu } from "./gelu.js";
import { gemm } from "./gemm.js";
import { globalAveragePool } from "./global_average_pool.js";
import { globalMaxPool } from "./global_max_pool.js";
import { greater } from "./greater.js";
import { greaterOrEqual } from "./greater_or_equal.js";
import { groupNormalization } from "./group_normalization.js";
import { gru } from "./gru.js";
import { hardSigmoid } from "./hard_sigmoid.js";
import { hardSwish } from "./hard_swish.js";
import { hardmax } from "./hardmax.js";
import { identity } from "./identity.js";
import { ifOp } from "./if.js";
import { instanceNormalization } from "./instance_normalization.js";
import { isInf } from "./is_inf.js";
import { isNan } from "./is_nan.js";
import { layerNormalization } from "./layer_normalization.js";
import { leakyRelu } from "./leaky_relu.js";
import { less } from "./less.js";
import { lessOrEqual } from "./less_or_equal.js";
import { log } from "./log.js";
import { logSoftmax } from "./log_softmax.js";
import { loop } from "./loop.js";
import { lpPool } from "./lp_pool.js";
import { lstm } from "./lstm.js";
import { matmul } from "./matmul.js";
import { matmulInteger } from "./matmul_integer.js";
import { max } from "./max.js";
import { maxPool } from "./max_pool.js";
import { mean } from "./mean.js";
import { min } from "./min.js";
import { mish } from "./mish.js";
import { mod } from "./mod.js";
import { mul } from "./mul.js";
import { neg } from "./neg.js";
import { nonZero } from "./non_zero.js";
import { not } from "./not.js";
import { oneHot } from "./one_hot.js";
import { or } from "./or.js";
import { pad } from "./pad.js";
import { pow } from "./pow.js";
import { prelu } from "./prelu.js";
import { qlinearConv } from "./qlinear_conv.js";
import { qlinearMatmul } from "./qlinear_matmul.js";
import { quantizeLinear } from "./quantize_linear.js";
import { range } from "./range.js";
import { reciprocal } from "./reciprocal.js";
import { reduceL1 } from "./reduce_l1.js";
import { reduceL2 } from "./reduce_l2.js";
import { reduceLogSum } from "./reduce_log_sum.js";
import { reduceLogSumExp } from "./reduce_log_sum_exp.js";
import { reduceMax } from "./reduce_max.js";
import { reduceMean } from "./reduce_mean.js";
import { reduceMin } from "./reduce_min.js";
import { reduceProd } from "./reduce_prod.js";
import { reduceSum } from "./reduce_sum.js";
import { reduceSumSquare } from "./reduce_sum_square.js";
import { relu } from "./relu.js";
import { reshape } from "./reshape.js";
import { resize } from "./resize.js";
import { rnn } from "./rnn.js";
import { round } from "./round.js";
import { scan } from "./scan.js";
import { scatterElements } from "./scatter_elements.js";
import { scatterNd } from "./scatter_nd.js";
import { selu } from "./selu.js";
import { shape } from "./shape.js";
import { sigmoid } from "./sigmoid.js";
import { sign } from "./sign.js";
import { sin } from "./sin.js";
import { sinh } from "./sinh.js";
import { size } from "./size.js";
import { slice } from "./slice.js";
import { softmax } from "./softmax.js";
import { softplus } from "./softplus.js";
import { softsign } from "./softsign.js";
import { spaceToDepth } from "./space_to_depth.js";
import { split } from "./split.js";
import { sqrt } from "./sqrt.js";
import { squeeze } from "./squeeze.js";
import { sub } from "./sub.js";
import { sum } from "./sum.js";
import { tan } from "./tan.js";
import { tanh } from "./tanh.js";
import { thresholdedRelu } from "./thresholded_relu.js";
import { tile } from "./tile.js";
import { topK } from "./top_k.js";
import { trainAdam } from "./train/adam.js";
import { trainBatchNorm } from "./train/batch_norm.js";
import { trainBatchNormBackward } from "./train/batch_norm_backward.js";
import { trainConvBackwardWeights } from "./train/conv_backward_weights.js";
import { trainDropout } from "./train/dropout.js";
import { trainFakeQuantize } from "./train/fake_quantize.js";
import { trainFakeQuantizeBackward } from "./train/fake_quantize_backward.js";
import { trainLayerNormBackward } from "./train/layer_norm_backward.js";
import { trainMaxPoolBackward } from "./train/max_pool_backward.js";
import { trainReluBackward } from "./train/relu_backward.js";
import { trainRoundHalf } from "./train/round_half.js";
import { trainSgd } from "./train/sgd.js";
import { transpose } from "./transpose.js";
import { trilu } from "./trilu.js";
import { unsqueeze } from "./unsqueeze.js";
import { where } from "./where.js";
import { xor } from "./xor.js";

const table = {
  abs,
  acos,
  acosh,
  add,
  and,
  arg_max: argMax,
  arg_min: argMin,
  asin,
  asinh,
  atan,
  atanh,
  average_pool: averagePool,
  batch_normalization: batchNormalization,
  carry,
  cast,
  cast_like: castLike,
  ceil,
  celu,
  clip,
  concat,
  constant,
  constant_of_shape: constantOfShape,
  conv,
  conv_integer: convInteger,
  conv_transpose: convTranspose,
  cos,
  cosh,
  "cpu.average_pool": cpuAveragePool,
  "cpu.conv": cpuConv,
  "cpu.conv_transpose": cpuConvTranspose,
  "cpu.conv_transpose_variable": cpuConvTransposeVariable,
  "cpu.conv_variable": cpuConvVariable,
  "cpu.gemm": cpuGemm,
  "cpu.global_average_pool": cpuGlobalAveragePool,
  "cpu.global_max_pool": cpuGlobalMaxPool,
  "cpu.lut": cpuLut,
  "cpu.max_pool": cpuMaxPool,
  "cpu.qadd": cpuQadd,
  "cpu.qconv": cpuQconv,
  "cpu.qgemm": cpuQgemm,
  "cpu.qmul": cpuQmul,
  "cpu.requantize": cpuRequantize,
  cum_sum: cumSum,
  depth_to_space: depthToSpace,
  dequantize_linear: dequantizeLinear,
  div,
  dropout,
  dynamic_quantize_linear: dynamicQuantizeLinear,
  einsum,
  elu,
  equal,
  erf,
  exp,
  expand,
  flatten,
  floor,
  gather,
  gather_elements: gatherElements,
  gather_nd: gatherNd,
  gelu,
  gemm,
  global_average_pool: globalAveragePool,
  global_max_pool: globalMaxPool,
  greater,
  greater_or_equal: greaterOrEqual,
  group_normalization: groupNormalization,
  gru,
  hard_sigmoid: hardSigmoid,
  hard_swish: hardSwish,
  hardmax,
  identity,
  if: ifOp,
  instance_normalization: instanceNormalization,
  is_inf: isInf,
  is_nan: isNan,
  layer_normalization: layerNormalization,
  leaky_relu: leakyRelu,
  less,
  less_or_equal: lessOrEqual,
  log,
  log_softmax: logSoftmax,
  loop,
  lp_pool: lpPool,
  lstm,
  matmul,
  matmul_integer: matmulInteger,
  max,
  max_pool: maxPool,
  mean,
  min,
  mish,
  mod,
  mul,
  neg,
  non_zero: nonZero,
  not,
  one_hot: oneHot,
  or,
  pad,
  pow,
  prelu,
  qlinear_conv: qlinearConv,
  qlinear_matmul: qlinearMatmul,
  quantize_linear: quantizeLinear,
  range,
  reciprocal,
  reduce_l1: reduceL1,
  reduce_l2: reduceL2,
  reduce_log_sum: reduceLogSum,
  reduce_log_sum_exp: reduceLogSumExp,
  reduce_max: reduceMax,
  reduce_mean: reduceMean,
  reduce_min: reduceMin,
  reduce_prod: reduceProd,
  reduce_sum: reduceSum,
  reduce_sum_square: reduceSumSquare,
  relu,
  reshape,
  resize,
  rnn,
  round,
  scan,
  scatter_elements: scatterElements,
  scatter_nd: scatterNd,
  selu,
  shape,
  sigmoid,
  sign,
  sin,
  sinh,
  size,
  slice,
  softmax,
  softplus,
  softsign,
  space_to_depth: spaceToDepth,
  split,
  sqrt,
  squeeze,
  sub,
  sum,
  tan,
  tanh,
  thresholded_relu: thresholdedRelu,
  tile,
  top_k: topK,
  "train.adam": trainAdam,
  "train.batch_norm": trainBatchNorm,
  "train.batch_norm_backward": trainBatchNormBackward,
  "train.conv_backward_weights": trainConvBackwardWeights,
  "train.dropout": trainDropout,
  "train.fake_quantize": trainFakeQuantize,
  "train.fake_quantize_backward": trainFakeQuantizeBackward,
  "train.layer_norm_backward": trainLayerNormBackward,
  "train.max_pool_backward": trainMaxPoolBackward,
  "train.relu_backward": trainReluBackward,
  "train.round_half": trainRoundHalf,
  "train.sgd": trainSgd,
  transpose,
  trilu,
  unsqueeze,
  where,
  xor,
} as const satisfies Record<string, OpDefinition>;

export type OpKind = keyof typeof table;
export const opKinds = Object.keys(table) as readonly OpKind[];
export const isOpKind = (kind: string): kind is OpKind => Object.hasOwn(table, kind);
/** The declaration of a kind; `undefined` for kinds that are only carried. */
export const opDefinition = (kind: string): OpDefinition | undefined => (isOpKind(kind) ? table[kind] : undefined);
