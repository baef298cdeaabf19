/** The gradient of each op kind: one table for all kinds, so that a new kind cannot be forgotten. */
import type { OpKind } from "../../../compiler/core/index.js";
import type { Gradient } from "./context.js";
import { convolutions } from "./convolutions.js";
import { elementwise } from "./elementwise.js";
import { indexing } from "./indexing.js";
import { normalizations } from "./normalizations.js";
import { products } from "./products.js";
import { reductions } from "./reductions.js";
import { shapes } from "./shapes.js";

const integers: Gradient = { none: "its results are whole numbers or truth values" };
const steps: Gradient = { none: "its derivative is 0 wherever there is one" };
const source: Gradient = { none: "it has no operand that a loss could depend on" };
const control: Gradient = { unsupported: "control flow is not differentiated: unroll it" };
const quantized: Gradient = { unsupported: "integers have no gradient: train the float graph, with train.fake_quantize where it will be quantized" };
const backward: Gradient = { unsupported: "it is part of a training graph: gradients of gradients are not computed" };
const unrolled: Gradient = { unsupported: "autodiff unrolls it over time first" };

const table: { readonly [K in Exclude<OpKind, `cpu.${string}`>]: Gradient } = {
  ...elementwise,
  ...reductions,
  ...shapes,
  ...indexing,
  ...products,
  ...convolutions,
  ...normalizations,
  lstm: unrolled,
  gru: unrolled,
  rnn: unrolled,
  floor: steps,
  ceil: steps,
  round: steps,
  sign: steps,
  hardmax: steps,
  equal: integers,
  less: integers,
  greater: integers,
  less_or_equal: integers,
  greater_or_equal: integers,
  and: integers,
  or: integers,
  xor: integers,
  not: integers,
  is_nan: integers,
  is_inf: integers,
  arg_max: integers,
  arg_min: integers,
  non_zero: integers,
  shape: integers,
  size: integers,
  one_hot: source,
  range: source,
  constant: source,
  constant_of_shape: source,
  mod: { unsupported: "there is no rule for remainders" },
  resize: { unsupported: "there is no rule for interpolation" },
  if: control,
  loop: control,
  scan: control,
  carry: { unsupported: "the operator is unknown to cec" },
  quantize_linear: quantized,
  dequantize_linear: quantized,
  dynamic_quantize_linear: quantized,
  matmul_integer: quantized,
  conv_integer: quantized,
  qlinear_matmul: quantized,
  qlinear_conv: quantized,
  "train.adam": backward,
  "train.sgd": backward,
  "train.batch_norm_backward": backward,
  "train.conv_backward_weights": backward,
  "train.layer_norm_backward": backward,
  "train.max_pool_backward": backward,
  "train.relu_backward": backward,
  "train.round_half": backward,
};

const lowered: Gradient = { unsupported: "it is an op of the native engine: autodiff takes graphs before lowering" };
const byKind: Readonly<Record<string, Gradient>> = table;

export const gradientOf = (kind: string): Gradient => byKind[kind] ?? lowered;
/** Kinds with a rule: what the gradient checks must cover. */
export const differentiable: readonly string[] = Object.entries(table).flatMap(([kind, g]) => ("rule" in g ? [kind] : []));

export type { Gradient, GradientContext } from "./context.js";
