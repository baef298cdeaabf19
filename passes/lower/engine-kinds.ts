/** Which ops the native engine runs: the one table that the driver asks before it chooses an engine. Contract: runtime-native/README.md. */
import { constantTensor, type ElementType, type Graph, type Op, toNumbers } from "../../compiler/core/index.js";
import { storedIntegers } from "./qdq.js";

const numbers: ReadonlySet<ElementType> = new Set<ElementType>(["f32", "f64", "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8", "bool"]);
const floats: ReadonlySet<ElementType> = new Set<ElementType>(["f32"]);
const f3264: ReadonlySet<ElementType> = new Set<ElementType>(["f32", "f64"]);
const arithmetic: ReadonlySet<ElementType> = new Set<ElementType>(["f32", "f64", "i64", "i32"]);
const moved: ReadonlySet<ElementType> = new Set<ElementType>([...numbers, "f16", "bf16"]);

const of = (types: ReadonlySet<ElementType>, ...kinds: readonly string[]): [string, ReadonlySet<ElementType>][] => kinds.map((k) => [k, types]);

/** Plain kinds with the element types of their first operand. */
const kinds: ReadonlyMap<string, ReadonlySet<ElementType>> = new Map([
  ...of(new Set<ElementType>([...arithmetic, "u8", "i8", "u16", "i16", "u32", "u64"]), "add", "sub", "mul", "div", "mod", "min", "max"),
  ...of(
    arithmetic,
    "pow",
    "matmul",
    "gemm",
    "reduce_mean",
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_l1",
    "reduce_l2",
    "reduce_prod",
    "reduce_sum_square",
    "cum_sum",
    "top_k",
    "range",
  ),
  ...of(
    f3264,
    "sum",
    "mean",
    "reduce_log_sum",
    "reduce_log_sum_exp",
    "sqrt",
    "exp",
    "log",
    "reciprocal",
    "floor",
    "ceil",
    "round",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
  ),
  ...of(
    f3264,
    "erf",
    "sigmoid",
    "tanh",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "softplus",
    "softsign",
    "thresholded_relu",
    "hard_sigmoid",
    "hard_swish",
    "gelu",
    "mish",
    "is_nan",
    "is_inf",
  ),
  ...of(new Set<ElementType>([...f3264, "i8", "i16", "i32", "i64"]), "neg", "abs", "sign", "relu"),
  ...of(new Set<ElementType>([...f3264, "i8", "u8", "i32", "i64"]), "arg_max", "arg_min"),
  ...of(numbers, "clip", "equal", "less", "greater", "less_or_equal", "greater_or_equal", "cast", "cast_like", "one_hot"),
  ...of(new Set<ElementType>(["bool"]), "and", "or", "xor", "not"),
  ...of(
    floats,
    "prelu",
    "softmax",
    "log_softmax",
    "hardmax",
    "layer_normalization",
    "instance_normalization",
    "group_normalization",
    "batch_normalization",
    "conv",
    "conv_transpose",
    "average_pool",
    "lp_pool",
  ),
  ...of(floats, "global_max_pool", "global_average_pool", "lstm", "gru", "rnn", "quantize_linear", "dynamic_quantize_linear", "resize"),
  ...of(
    floats,
    "train.conv_backward_weights",
    "train.max_pool_backward",
    "train.batch_norm",
    "train.batch_norm_backward",
    "train.layer_norm_backward",
    "train.relu_backward",
    "train.dropout",
    "train.round_half",
    "train.fake_quantize",
    "train.fake_quantize_backward",
    "train.sgd",
    "train.adam",
  ),
  ...of(new Set<ElementType>(["f32", "u8", "i8"]), "max_pool"),
  ...of(new Set<ElementType>(["u8", "i8", "i16", "u16", "i32"]), "dequantize_linear"),
  ...of(new Set<ElementType>(["u8", "i8"]), "matmul_integer", "conv_integer", "qlinear_matmul", "qlinear_conv"),
  ...of(
    moved,
    "where",
    "concat",
    "split",
    "slice",
    "gather",
    "gather_elements",
    "gather_nd",
    "scatter_elements",
    "scatter_nd",
    "pad",
    "reshape",
    "transpose",
    "flatten",
    "squeeze",
    "unsqueeze",
    "identity",
    "dropout",
  ),
  ...of(moved, "expand", "tile", "shape", "size", "constant_of_shape", "depth_to_space", "space_to_depth", "trilu"),
]);

const hasFractionalScales = (op: Op): boolean => {
  const scales = constantTensor(op.inputs[2] ?? null);
  return op.inputs[2] != null && (scales === null || !toNumbers(scales).every(Number.isInteger));
};

/** Why the engine cannot run the op; `null` when it can. */
export function unsupportedReason(op: Op): string | null {
  if (op.kind === "constant")
    return op.outputs[0]?.type.kind === "tensor" && (moved.has(op.outputs[0].type.elem) || op.outputs[0].type.elem === "i4")
      ? null
      : "its element type is not in the engine";
  if (op.kind.startsWith("cpu.")) return null;
  const types = kinds.get(op.kind);
  if (types === undefined)
    return op.kind === "carry"
      ? `the operator ${op.attrs["domain"] || "ai.onnx"}.${op.attrs["op_type"]} is unknown to cec`
      : "the engine has no kernel for it";
  const first = op.kind === "where" ? op.inputs[1] : op.inputs[0];
  if (first == null) return null;
  if (first.type.kind !== "tensor") return "the type of its operand is not known";
  // Weights of 4 bits are widened before the program is written.
  if (op.kind === "cast" && storedIntegers(op.outputs[0]) !== null) return null;
  if ((first.type.shape?.length ?? 0) > 8) return "tensors have at most 8 axes";
  if (!types.has(first.type.elem)) return `it runs on ${[...types].join(", ")}, not on ${first.type.elem}`;
  const y = op.outputs[0]?.type;
  if ((op.kind === "cast" || op.kind === "cast_like") && (y?.kind !== "tensor" || !moved.has(y.elem))) return "the target type is not in the engine";
  if (op.kind === "quantize_linear" && (y?.kind !== "tensor" || !["u8", "i8", "u16", "i16"].includes(y.elem)))
    return "the target type is not in the engine";
  if (op.kind === "resize" && (op.attrs["antialias"] === 1 || op.attrs["coordinate_transformation_mode"] === "tf_crop_and_resize"))
    return "this resize mode is not in the engine";
  // ONNX's reference divides by the fractional length there, runtimes by the rounded one: neither is what the other expects.
  if (op.kind === "resize" && op.attrs["coordinate_transformation_mode"] === "align_corners" && hasFractionalScales(op))
    return "align_corners with scales that give fractional sizes is not in the engine: give sizes instead";
  if (["lstm", "gru", "rnn"].includes(op.kind) && op.attrs["activations"] !== undefined)
    return "activations other than the default are not in the engine";
  if (op.kind === "qlinear_matmul" || op.kind === "qlinear_conv") {
    const scale = [1, 4, 6].map((i) => op.inputs[i]?.type).find((t) => t?.kind !== "tensor" || t.elem !== "f32");
    if (scale !== undefined) return "its scales are not f32";
  }
  if (op.kind === "layer_normalization" && op.outputs.length > 1) return "its statistics are read";
  if (op.kind === "batch_normalization" && op.attrs["training_mode"] === 1) return "it is in training mode";
  return null;
}

/** Ops of a graph that the native engine lacks, each with the reason; empty when it can run the whole graph. */
export const supportedByNative = (graph: Graph): { readonly op: Op; readonly reason: string }[] =>
  graph.ops.flatMap((op) => {
    const reason = unsupportedReason(op);
    return reason === null ? [] : [{ op, reason }];
  });
