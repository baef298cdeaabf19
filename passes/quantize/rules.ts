/**
 * The quantization rule of each op kind: what is quantized, what only passes ranges on, and what stays in float. One table for all kinds, so that a new kind
 * cannot be forgotten.
 */
import type { Graph, OpKind } from "../../compiler/core/index.js";

/**
 * - `weighted`: operand 1 is a constant quantized symmetrically, operand 2 a bias; the result is observed
 * - `elementwise`: all float operands and the result are observed
 * - `shared`: the result has the parameters of the first operand (moves elements, or picks among them)
 * - `joined`: operands and result share one range
 * - `observed`: unary function with an observed result (runs as a table)
 * - `float`: stays in float, with the reason
 */
export type Rule =
  | { readonly kind: "weighted"; readonly weightAxis: (attrs: Readonly<Record<string, unknown>>, rank: number) => number }
  | { readonly kind: "elementwise" }
  | { readonly kind: "shared" }
  | { readonly kind: "joined" }
  | { readonly kind: "observed" }
  | { readonly kind: "float"; readonly reason: string };

const float = (reason: string): Rule => ({ kind: "float", reason });
const shared: Rule = { kind: "shared" };
const observed: Rule = { kind: "observed" };
const integer = float("its operands are no floats, or it computes shapes");
const already = float("it is quantized already");
const noKernel = float("no target runs it on integers");
const unusual = float("it is sensitive to its range and cheap: INT8 would cost accuracy and save nothing");

/** Axis of the output channel in the weights. */
const rules: { readonly [K in Exclude<OpKind, `cpu.${string}`>]?: Rule } = {
  conv: { kind: "weighted", weightAxis: () => 0 },
  conv_transpose: { kind: "weighted", weightAxis: () => 1 },
  gemm: { kind: "weighted", weightAxis: (attrs) => (attrs["transB"] === 1 ? 0 : 1) },
  matmul: { kind: "weighted", weightAxis: (_, rank) => rank - 1 },
  add: { kind: "elementwise" },
  mul: { kind: "elementwise" },
  concat: { kind: "joined" },
  max_pool: shared,
  global_max_pool: shared,
  average_pool: observed,
  global_average_pool: observed,
  reshape: shared,
  flatten: shared,
  squeeze: shared,
  unsqueeze: shared,
  transpose: shared,
  slice: shared,
  expand: shared,
  tile: shared,
  gather: shared,
  split: float("ONNX Runtime runs it in float between its QDQ pairs"),
  pad: shared,
  resize: shared,
  depth_to_space: shared,
  space_to_depth: shared,
  identity: shared,
  dropout: shared,
  relu: observed,
  clip: observed,
  sigmoid: observed,
  leaky_relu: observed,
  tanh: unusual,
  hard_sigmoid: unusual,
  hard_swish: unusual,
  gelu: unusual,
  softmax: unusual,
  log_softmax: unusual,
  layer_normalization: unusual,
  instance_normalization: unusual,
  group_normalization: unusual,
  lstm: float("recurrent ops have no static INT8 form in ONNX"),
  gru: float("recurrent ops have no static INT8 form in ONNX"),
  rnn: float("recurrent ops have no static INT8 form in ONNX"),
  batch_normalization: float("it was not folded: see the decision of fold-batch-norm"),
  carry: float("the operator is unknown and carried unchanged"),
  if: float("control flow is carried unchanged"),
  loop: float("control flow is carried unchanged"),
  scan: float("control flow is carried unchanged"),
  shape: integer,
  size: integer,
  cast: integer,
  cast_like: integer,
  constant: integer,
  constant_of_shape: integer,
  range: integer,
  non_zero: integer,
  one_hot: integer,
  quantize_linear: already,
  dequantize_linear: already,
  dynamic_quantize_linear: already,
  qlinear_conv: already,
  qlinear_matmul: already,
  matmul_integer: already,
  conv_integer: already,
};

export const ruleOf = (kind: string): Rule => (rules as Readonly<Record<string, Rule>>)[kind] ?? noKernel;

/** Says that a model came quantized, at its first such op. */
export function warnOfQuantized(graph: Graph, warn: (code: string, message: string, at: { readonly node: string }) => void): void {
  const ops = graph.ops.filter((op) => ruleOf(op.kind) === already);
  const [first] = ops;
  if (first !== undefined)
    warn("CEC4031", `${ops.length} ops of the model are quantized already and stay as they are: quantize the float model instead`, {
      node: first.name || (first.outputs[0]?.name ?? first.kind),
    });
}
