/** One valid op of each kind that can be evaluated: for checks that hold for all kinds. */
import { memoryBlob } from "../../../../compiler/core/ir/tensor.js";
import { ints, iota, type OpCase, scalar, t } from "./support.js";

const x = iota(2, 3);
const image = iota(1, 2, 4, 4);
const nhwc = iota(1, 4, 4, 2);
const pixels = t("u8", [1, 2, 2, 2], [0, 10, 20, 30, 40, 50, 60, 255]);
const bools = t("bool", [2], [0, 1]);
const one = (kind: string, ...rest: [OpCase["operands"], OpCase["attrs"]?, number?]): OpCase => ({
  kind,
  operands: rest[0],
  attrs: rest[1] ?? {},
  outputs: rest[2] ?? 1,
});
const q = { x_scale: 0.5, x_zp: 3, y_scale: 0.25, y_zp: 7 };

const unary =
  "abs acos acosh asin asinh atan atanh ceil celu cos cosh elu erf exp floor gelu hard_sigmoid hard_swish hardmax identity is_inf is_nan leaky_relu log log_softmax mish neg reciprocal relu round selu sigmoid sign sin sinh softmax softplus softsign sqrt tan tanh thresholded_relu dropout non_zero shape size transpose flatten squeeze arg_max arg_min clip";
const reductions = "mean sum max min l1 l2 prod sum_square log_sum log_sum_exp";

export const samples: readonly OpCase[] = [
  ...unary.split(" ").map((kind) => one(kind, [x])),
  ...reductions.split(" ").map((r) => one(`reduce_${r}`, [x, ints(1)], { keepdims: 0 })),
  ..."add sub mul div pow mod max min mean sum equal less greater less_or_equal greater_or_equal prelu"
    .split(" ")
    .map((kind) => one(kind, [x, t("f32", [3], [1, 2, 4])])),
  ..."and or xor".split(" ").map((kind) => one(kind, [bools, bools])),
  one("not", [bools]),
  one("where", [bools, t("f32", [2], [1, 2]), scalar("f32", 5)]),
  one("matmul", [x, iota(3, 2)]),
  one("gemm", [x, iota(2, 3), t("f32", [2], [1, 2])], { transB: 1, alpha: 0.5, beta: 2 }),
  one("einsum", [x, iota(3, 4)], { equation: "ij,jk->ik" }),
  one("conv", [image, iota(2, 2, 3, 3), t("f32", [2], [1, 2])], { pads: [1, 1, 1, 1] }),
  one("conv_transpose", [image, iota(2, 1, 2, 2)], { strides: [2, 2] }),
  one("max_pool", [image], { kernel_shape: [2, 2] }, 2),
  one("average_pool", [image], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }),
  one("lp_pool", [image], { kernel_shape: [2, 2] }),
  one("global_max_pool", [image]),
  one("global_average_pool", [image]),
  one("batch_normalization", [image, ...[1, 2, 3, 4].map((v) => t("f32", [2], [v, v]))]),
  one("layer_normalization", [x, t("f32", [3], [1, 1, 1])], {}, 3),
  one("instance_normalization", [image, t("f32", [2], [1, 2]), t("f32", [2], [0, 1])]),
  one("group_normalization", [image, t("f32", [2], [1, 2]), t("f32", [2], [0, 1])], { num_groups: 2 }),
  one("top_k", [x, ints(2)], {}, 2),
  one("cum_sum", [x, scalar("i64", 1)]),
  one("concat", [x, x], { axis: 1 }),
  one("split", [x], { axis: 1, num_outputs: 2 }, 2),
  one("slice", [x, ints(1), ints(3), ints(1)]),
  one("gather", [x, ints(2, 0)], { axis: 1 }),
  one("gather_elements", [x, t("i64", [1, 3], [1, 0, 1])]),
  one("gather_nd", [x, t("i64", [1, 2], [1, 2])]),
  one("scatter_elements", [x, t("i64", [1, 3], [1, 0, 1]), t("f32", [1, 3], [7, 8, 9])]),
  one("scatter_nd", [x, t("i64", [1, 1], [1]), t("f32", [1, 3], [7, 8, 9])]),
  one("pad", [x, ints(0, 1, 0, 2), scalar("f32", 9)]),
  one("reshape", [x, ints(3, -1)]),
  one("unsqueeze", [x, ints(0, -1)]),
  one("expand", [x, ints(2, 1, 3)]),
  one("tile", [x, ints(2, 1)]),
  one("cast", [x], { to: "i32" }),
  one("cast_like", [x, scalar("u8", 0)]),
  one("constant_of_shape", [ints(2, 2)], { value: memoryBlob(new Uint8Array([7, 0, 0, 0])), value_type: "i32" }),
  one("range", [scalar("i64", 2), scalar("i64", 10), scalar("i64", 3)]),
  one("resize", [image, null, t("f32", [4], [1, 1, 2, 2])], { mode: "linear" }),
  one("depth_to_space", [iota(1, 4, 2, 2)], { blocksize: 2 }),
  one("space_to_depth", [image], { blocksize: 2 }),
  one("one_hot", [ints(0, 2), scalar("i64", 3), t("f32", [2], [0, 1])]),
  one("trilu", [x]),
  one("quantize_linear", [x, scalar("f32", 0.5), scalar("u8", 3)]),
  one("dequantize_linear", [t("i8", [2], [-3, 4]), scalar("f32", 0.5), scalar("i8", 1)]),
  one("dynamic_quantize_linear", [x], {}, 3),
  one("qlinear_matmul", [
    t("u8", [1, 2], [1, 2]),
    scalar("f32", 1),
    scalar("u8", 0),
    t("i8", [2, 1], [3, -4]),
    scalar("f32", 0.5),
    scalar("i8", 0),
    scalar("f32", 1),
    scalar("u8", 9),
  ]),
  one("qlinear_conv", [
    t("u8", [1, 1, 2, 2], [1, 2, 3, 4]),
    scalar("f32", 1),
    scalar("u8", 0),
    t("i8", [1, 1, 2, 2], [1, 1, 1, -1]),
    scalar("f32", 0.5),
    scalar("i8", 0),
    scalar("f32", 1),
    scalar("u8", 9),
  ]),
  one("matmul_integer", [t("u8", [1, 2], [1, 2]), t("i8", [2, 1], [3, -4]), scalar("u8", 1)]),
  one("conv_integer", [t("u8", [1, 1, 2, 2], [1, 2, 3, 4]), t("i8", [1, 1, 1, 1], [-2]), scalar("u8", 1)]),
  one("lstm", [iota(2, 1, 2), iota(1, 8, 2), iota(1, 8, 2)], { hidden_size: 2 }, 3),
  one("gru", [iota(2, 1, 2), iota(1, 6, 2), iota(1, 6, 2)], { hidden_size: 2 }, 2),
  one("rnn", [iota(2, 1, 2), iota(1, 2, 2), iota(1, 2, 2)], { hidden_size: 2 }, 2),
  one("cpu.conv", [nhwc, iota(3, 3, 3, 2), null, iota(1, 2, 2, 3)], { strides: [2, 2], pads: [1, 1, 1, 1], activation: "relu" }),
  one("cpu.qconv", [pixels, t("i8", [1, 1, 1, 2], [3, -2]), t("i32", [1], [5]), t("f32", [1], [0.5])], q),
  one("cpu.conv_variable", [nhwc, iota(3, 3, 3, 2), t("f32", [3], [1, 2, 3])], { pads: [1, 1, 1, 1] }),
  one("cpu.conv_transpose_variable", [nhwc, iota(2, 2, 2, 1)], { strides: [2, 2], output_padding: [1, 0] }),
  one("train.batch_norm", [nhwc, ...[1, 2, 3, 4].map((v) => t("f32", [2], [v, v]))], { channels_last: 1 }, 5),
  one("train.batch_norm_backward", [nhwc, nhwc, ...[1, 2, 3, 4].map((v) => t("f32", [2], [v, v]))], { channels_last: 1, activation: "relu" }, 3),
  one("train.conv_backward_weights", [nhwc, iota(1, 2, 2, 3)], { kernel_shape: [3, 3], channels_last: 1 }),
  one("train.max_pool_backward", [nhwc, iota(1, 2, 2, 2)], { kernel_shape: [2, 2], strides: [2, 2], channels_last: 1 }),
  one("train.layer_norm_backward", [x, x, t("f32", [3], [1, 2, 3])], {}, 3),
  one("train.relu_backward", [x, x]),
  one("train.round_half", [x], {}, 2),
  one("train.fake_quantize", [x, scalar("f32", 0.5)], { q_min: -4, q_max: 3 }),
  one("train.sgd", [x, x, x, scalar("f32", 0.1), scalar("f32", 1)], { momentum: 0.9, nesterov: 1, weight_decay: 0.01 }, 2),
  one("train.adam", [x, x, x, x, scalar("f32", 0.1), scalar("f32", 1)], { weight_decay: 0.01, decoupled: 1 }, 3),
  one("cpu.gemm", [x, iota(2, 3), t("f32", [2], [1, 2])]),
  one("cpu.qgemm", [t("i8", [1, 2], [-128, 5]), t("i8", [3, 2], [1, 2, 3, 4, 5, 6]), null, t("f32", [3], [1, 2, 3])], { ...q, y_type: "u8" }),
  one("cpu.conv_transpose", [nhwc, iota(2, 2, 2, 1)], { strides: [2, 2], output_padding: [1, 0] }),
  one("cpu.max_pool", [nhwc], { kernel_shape: [2, 2], strides: [2, 2] }),
  one("cpu.average_pool", [pixels], { kernel_shape: [2, 2], ...q }),
  one("cpu.global_average_pool", [pixels], q),
  one("cpu.global_max_pool", [pixels]),
  ...["cpu.qadd", "cpu.qmul"].map((kind) => one(kind, [pixels, pixels], { a_scale: 0.5, b_scale: 0.25, b_zp: 4, y_scale: 1 })),
  one("cpu.requantize", [pixels], { ...q, y_type: "i8" }),
  one("cpu.lut", [
    t("i8", [3], [-1, 0, 1]),
    t(
      "u8",
      [256],
      Array.from({ length: 256 }, (_, i) => 255 - i),
    ),
  ]),
];
