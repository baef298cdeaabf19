/** Cases for every kind of op that the engine has: the samples of the IR's own tests, and seeded ones over more shapes, types and attributes. */
import type { Attrs } from "../../../compiler/core/ir/graph.js";
import { memoryBlob, type Tensor, tensor } from "../../../compiler/core/ir/tensor.js";
import type { ElementType } from "../../../compiler/core/ir/types.js";
import { samples } from "../core/ops/samples.js";
import { ints, scalar, t } from "../core/ops/support.js";
import { filled, type NativeCase } from "./support.js";

let seed = 1;
const f = (...dims: number[]): Tensor => filled("f32", dims, seed++);
const of = (elem: ElementType, low: number, high: number, ...dims: number[]): Tensor => filled(elem, dims, seed++, low, high);
const positive = (...dims: number[]): Tensor => of("f32", 0.25, 3, ...dims);
const u8 = (...dims: number[]): Tensor => of("u8", 0, 255, ...dims);
const i8 = (...dims: number[]): Tensor => of("i8", -128, 127, ...dims);
const bool = (...dims: number[]): Tensor => of("bool", 0, 1, ...dims);
const one = (kind: string, operands: readonly (Tensor | null)[], attrs: Attrs = {}, outputs = 1, constant: readonly number[] = []): NativeCase => ({
  kind,
  operands,
  attrs,
  outputs,
  constant,
});

/** Operands of the engine's own kinds that are weights, biases and tables. */
const constants: Readonly<Record<string, readonly number[]>> = {
  "cpu.conv": [1, 2],
  "cpu.qconv": [1, 2, 3],
  "cpu.gemm": [1, 2],
  "cpu.qgemm": [1, 2, 3],
  "cpu.conv_transpose": [1, 2],
  "cpu.lut": [1],
};

const split = (names: string): string[] => names.split(/\s+/);
const special = tensor("f32", [8], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1e-40, 3e38, -1e-3]);

const unaryAll = split("abs ceil floor round sign neg relu sigmoid tanh exp erf sin cos tan asinh atan sinh cosh is_nan is_inf");
const unaryActivations = split(
  "leaky_relu elu celu selu softplus softsign thresholded_relu hard_sigmoid hard_swish gelu mish identity dropout clip sqrt log reciprocal",
);
const arithmetic = split("add sub mul div min max pow mod");
const comparisons = split("equal less greater less_or_equal greater_or_equal");
const reductions = split(
  "reduce_mean reduce_sum reduce_max reduce_min reduce_l1 reduce_l2 reduce_prod reduce_sum_square reduce_log_sum reduce_log_sum_exp",
);
const q = { x_scale: 0.02, x_zp: 113, y_scale: 0.35, y_zp: 120 };
const qs = { x_scale: 0.02, x_zp: -5, y_scale: 0.3, y_zp: 4 };

/** Ops of training graphs: weights that are computed, gradients, and steps of optimizers. */
function training(): NativeCase[] {
  const vectors = (c: number, n: number): Tensor[] => Array.from({ length: n }, () => positive(c));
  const list: NativeCase[] = [
    one("cpu.conv_variable", [f(2, 7, 6, 4), f(6, 3, 2, 2), f(6), f(2, 4, 5, 6)], {
      group: 2,
      strides: [2, 1],
      dilations: [1, 1],
      pads: [1, 0, 1, 0],
      activation: "relu",
    }),
    one("cpu.conv_variable", [f(3, 9, 9, 16), f(33, 3, 3, 16)], { pads: [1, 1, 1, 1] }),
    one("cpu.conv_variable", [f(3, 5, 5, 3), f(16, 1, 1, 3), f(16)], { strides: [2, 2] }),
    one("cpu.conv_variable", [f(0, 5, 5, 3), f(16, 3, 3, 3)], {}),
    one("cpu.conv_transpose_variable", [f(2, 4, 5, 4), f(4, 3, 2, 3)], { group: 2, strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 0] }),
    one("cpu.conv_transpose_variable", [f(2, 8, 8, 32), f(32, 3, 3, 16)], { pads: [1, 1, 1, 1] }),
    // Enough tiles for the Winograd form.
    one("cpu.conv_variable", [f(2, 24, 22, 16), f(17, 3, 3, 16), f(17), f(2, 24, 22, 17)], { pads: [1, 1, 1, 1], activation: "relu" }),
    one("cpu.conv_variable", [f(3, 21, 23, 19), f(32, 3, 3, 19)], { pads: [0, 2, 1, 0] }),
    one("cpu.conv_transpose_variable", [f(2, 23, 24, 32), f(32, 3, 3, 16)], { pads: [1, 1, 1, 1] }),
    one("cpu.conv_transpose_variable", [f(3, 21, 22, 16), f(16, 3, 3, 20), f(20)], { pads: [0, 2, 1, 0] }),
    // Pixels that no tap reaches, phases without pixels, taps of one phase.
    one("cpu.conv_transpose_variable", [f(2, 4, 5, 4), f(4, 1, 2, 6), f(6)], { strides: [3, 3], output_padding: [2, 1], activation: "relu" }),
    one("cpu.conv_transpose_variable", [f(1, 1, 1, 3), f(3, 5, 5, 2)], { strides: [4, 4], pads: [2, 2, 2, 2] }),
    one("cpu.conv_transpose_variable", [f(2, 5, 6, 3), f(3, 3, 3, 5)], { strides: [2, 2], dilations: [2, 2], pads: [1, 1, 1, 1] }),
    one("cpu.conv_transpose_variable", [f(3, 16, 16, 32), f(32, 3, 3, 16)], { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] }),
    one("train.fake_quantize", [f(3, 4, 5), scalar("f32", 0.25)], { q_min: -3, q_max: 4 }),
    one("train.fake_quantize", [f(3, 4, 5), positive(4), tensor("f32", [4], [0, 1, -2, 3])], { q_min: -8, q_max: 7, axis: 1 }),
    one("train.fake_quantize", [f(2, 3), positive(3)], { q_min: -8, q_max: 7, axis: 1 }),
    ...[1, 2].map((outputs) => one("train.fake_quantize_backward", [f(3, 4, 5), f(3, 4, 5), scalar("f32", 0.25)], { q_min: -3, q_max: 4 }, outputs)),
    one(
      "train.fake_quantize_backward",
      [f(5, 4, 7), f(5, 4, 7), positive(4), tensor("f32", [4], [0, 1, -2, 3])],
      { q_min: -8, q_max: 7, axis: 1, lsq_gradient_scale: 0.5 },
      2,
    ),
    one("train.fake_quantize_backward", [f(2, 3), f(2, 3), positive(3)], { q_min: -1, q_max: 1, axis: 1 }, 2),
    one("train.fake_quantize_backward", [f(9000, 3), f(9000, 3), positive(1)], { q_min: 0, q_max: 15 }, 2),
    one("cpu.conv_variable", [f(2, 7, 6, 19), f(19, 3, 3, 1), f(19)], { group: 19, strides: [2, 1], pads: [1, 1, 1, 1] }),
    one("cpu.conv_transpose_variable", [f(2, 4, 6, 19), f(19, 3, 3, 1)], { group: 19, strides: [2, 1], pads: [1, 1, 1, 1], output_padding: [0, 0] }),
    one("train.conv_backward_weights", [f(3, 7, 6, 19), f(3, 4, 6, 19)], {
      group: 19,
      kernel_shape: [3, 3],
      strides: [2, 1],
      pads: [1, 1, 1, 1],
      channels_last: 1,
    }),
    one("train.relu_backward", [f(5, 7), f(5, 7)]),
    ...[0, 0.1, 0.5, 0.999].map((ratio) => one("train.dropout", [f(40, 501), scalar("f32", 7)], { ratio, seed: 2 ** 31 - 1 })),
    one("train.round_half", [f(5, 7)], {}, 2),
    one("train.round_half", [tensor("f32", [9], [0, -0, 1e-8, -2e-8, 4e-8, 65519, 65520, -1e9, 1 / 3])], {}, 2),
    one("cast", [tensor("f32", [9], [0, -0, 1e-8, -2e-8, 4e-8, 65519, 65520, -1e9, 1 / 3])], { to: "f16" }),
    one("cast", [tensor("f16", [9], [0, -0, 6e-8, -2e-6, 1, 65504, 0.1, -7, 1 / 3])], { to: "f32" }),
    one("train.max_pool_backward", [f(3, 7, 8, 5), f(3, 4, 4, 5)], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], channels_last: 1 }),
    one("train.max_pool_backward", [f(1, 6, 5, 3), f(1, 3, 3, 3)], { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1, channels_last: 1 }),
    one("train.layer_norm_backward", [f(37, 5), f(37, 5), f(5)], {}, 3),
    one("train.layer_norm_backward", [f(2, 3, 33), f(2, 3, 33)], { axis: 1, epsilon: 1e-3 }, 3),
    ...[1, Number.NaN].flatMap((scale) => [
      one("train.sgd", [f(9, 7), f(9, 7), f(9, 7), scalar("f32", 0.1), scalar("f32", scale)], { momentum: 0.9, nesterov: 1, weight_decay: 0.01 }, 2),
      one("train.adam", [f(33), f(33), f(33), positive(33), scalar("f32", 0.1), scalar("f32", 3), scalar("f32", scale)], { weight_decay: 0.1 }, 3),
    ]),
    one("train.sgd", [f(33), f(33), f(33), scalar("f32", 0.1)], {}, 2),
    one(
      "train.adam",
      [f(33), f(33), f(33), positive(33), scalar("f32", 0.1), scalar("f32", 100)],
      { weight_decay: 0.1, decoupled: 1, beta1: 0.8, epsilon: 1e-3 },
      3,
    ),
  ];
  for (const [n, c, o, attrs] of [
    [2, 3, 16, { pads: [1, 1, 1, 1] }],
    [17, 16, 16, { pads: [1, 1, 1, 1] }],
    [3, 40, 21, { pads: [1, 0, 1, 0], strides: [2, 1] }],
    [2, 8, 8, { pads: [1, 1, 1, 1], group: 8 }],
    [2, 8, 12, { dilations: [2, 2], group: 4 }],
  ] as const) {
    const x = f(n, 8, 7, c);
    const [strides, dilations, pads] = [
      (attrs as Attrs)["strides"] ?? [1, 1],
      (attrs as Attrs)["dilations"] ?? [1, 1],
      (attrs as Attrs)["pads"] ?? [0, 0, 0, 0],
    ] as number[][];
    const size = (s: number, i: number): number =>
      Math.floor((s + (pads?.[i] as number) + (pads?.[i + 2] as number) - 2 * (dilations?.[i] as number) - 1) / (strides?.[i] as number)) + 1;
    list.push(one("train.conv_backward_weights", [x, f(n, size(8, 0), size(7, 1), o)], { ...attrs, kernel_shape: [3, 3], channels_last: 1 }));
  }
  for (const dims of [
    [2, 3, 4, 5],
    [5, 16, 16, 16],
    [300, 7],
    [1, 1, 2, 40],
  ]) {
    const c = dims.at(-1) as number;
    const attrs = dims.length === 2 ? {} : { channels_last: 1 as const };
    // A mean that is large beside the deviation; of two samples a channel, rounding the mean is what remains.
    const far = dims[0] === 1 ? [] : [of("f32", 99, 101, ...dims)];
    for (const x of [f(...dims), ...far]) list.push(one("train.batch_norm", [x, ...vectors(c, 4)], { ...attrs, momentum: 0.7 }, 5));
    for (const activation of [{}, { activation: "relu" as const }])
      list.push(one("train.batch_norm_backward", [f(...dims), f(...dims), ...vectors(c, 4)], { ...attrs, ...activation }, 3));
  }
  return list;
}

function elementwise(): NativeCase[] {
  const list: NativeCase[] = [];
  for (const kind of [...unaryAll, ...unaryActivations]) {
    const needsPositive = /sqrt|log|reciprocal/.test(kind);
    for (const dims of [[1], [17], [3, 5, 7], [2, 0, 3], []]) list.push(one(kind, [needsPositive ? positive(...dims) : f(...dims)]));
    list.push(one(kind, [special]));
    // Large arguments, where naive formulas overflow.
    list.push(one(kind, [tensor("f32", [7], [-100, -20.5, -3, 0.5, 2.5, 20.5, 100])]));
    if (!/is_|dropout|identity|clip/.test(kind)) list.push(one(kind, [of("f64", 0.3, 2, 9)]));
  }
  for (const kind of ["acos", "asin", "atanh"]) list.push(one(kind, [of("f32", -0.95, 0.95, 33)]));
  list.push(one("acosh", [of("f32", 1.05, 9, 33)]));
  for (const kind of ["abs", "neg", "sign"]) for (const e of ["i8", "i16", "i32", "i64"] as const) list.push(one(kind, [of(e, -100, 100, 19)]));
  for (const e of ["i8", "i16", "i32", "i64"] as const) list.push(one("relu", [of(e, -100, 100, 19)]));
  list.push(one("gelu", [f(40)], { approximate: "tanh" }), one("leaky_relu", [f(40)], { alpha: 0.3 }), one("elu", [f(40)], { alpha: 0.3 }));
  list.push(
    one("celu", [f(40)], { alpha: 0.3 }),
    one("selu", [f(40)], { alpha: 1.5, gamma: 0.7 }),
    one("hard_sigmoid", [f(40)], { alpha: 0.4, beta: 0.2 }),
  );
  list.push(
    one("thresholded_relu", [f(40)], { alpha: 0.4 }),
    one("is_inf", [special], { detect_negative: 0 }),
    one("is_inf", [special], { detect_positive: 0 }),
  );
  list.push(one("clip", [f(3, 9), scalar("f32", -0.5), scalar("f32", 1)]), one("clip", [f(3, 9), null, scalar("f32", 0.25)]));
  for (const e of ["i8", "u8", "i32", "i64", "f64"] as const) list.push(one("clip", [of(e, 0, 100, 19), scalar(e, 10), scalar(e, 60)]));

  const shapes: readonly (readonly [number[], number[]])[] = [
    [[7], [7]],
    [
      [2, 3, 4],
      [3, 1],
    ],
    [
      [5, 1, 4],
      [1, 3, 4],
    ],
    [[], [2, 3]],
    [[33], [1]],
    [
      [2, 0],
      [1, 1],
    ],
    [
      [2, 1, 3, 1, 5],
      [4, 1, 2, 1],
    ],
  ];
  for (const kind of arithmetic) {
    for (const [a, b] of shapes) {
      const attrs = kind === "mod" ? { fmod: 1 } : {};
      list.push(one(kind, [kind === "pow" ? positive(...a) : f(...a), positive(...b)], attrs));
    }
    for (const e of ["f64", "i32", "i64", "i8", "u8", "i16", "u16", "u32", "u64"] as const) {
      if (kind === "pow" && !["f64", "i32", "i64"].includes(e)) continue;
      const low = e.startsWith("u") || kind === "pow" ? 0 : -9;
      const attrs = kind === "mod" && e === "f64" ? { fmod: 1 } : {};
      list.push(one(kind, [of(e, low, 9, 3, 5), of(e, kind === "pow" ? 0 : 1, 4, 5)], attrs));
      if (kind === "div" || kind === "mod") if (low < 0) list.push(one(kind, [of(e, -9, 9, 3, 5), of(e, -4, -1, 3, 1)], attrs));
    }
  }
  list.push(one("mod", [of("i32", -9, 9, 20), of("i32", -4, -1, 20)], { fmod: 1 }));
  list.push(
    one("add", [f(3, 4), f(4)], { activation: "relu" }),
    one("add", [f(3, 4), f(3, 4)], { activation: "clip", clip_min: -0.5, clip_max: 0.75 }),
  );
  for (const kind of ["min", "max", "sum", "mean"]) list.push(one(kind, [f(3, 4), f(4), f(1, 3, 1)]), one(kind, [f(5)]));
  for (const kind of ["min", "max"]) list.push(one(kind, [special, tensor("f32", [8], [1, 1, 1, 1, 1, 1, 1, Number.NaN])]));
  for (const kind of comparisons) {
    for (const [a, b] of shapes) list.push(one(kind, [of("i32", 0, 3, ...a), of("i32", 0, 3, ...b)]));
    for (const e of ["f32", "f64", "i64", "u8", "i8", "u64", "i16", "u16", "u32"] as const) list.push(one(kind, [of(e, 0, 2, 30), of(e, 0, 2, 30)]));
    list.push(one(kind, [special, special]));
  }
  list.push(one("equal", [bool(9), bool(9)]));
  for (const kind of ["and", "or", "xor"]) for (const [a, b] of shapes) list.push(one(kind, [bool(...a), bool(...b)]));
  list.push(one("not", [bool(3, 7)]), one("prelu", [f(2, 3, 4), f(3, 1)]), one("prelu", [f(2, 3), f(1)]));
  for (const e of ["f32", "f64", "u8", "i64", "f16", "bool"] as const)
    list.push(one("where", [bool(3, 1, 2), of(e, 0, 1, 4, 2), of(e, 0, 1, 3, 1, 1)]));
  return list;
}

function movement(): NativeCase[] {
  const list: NativeCase[] = [];
  for (const e of ["f32", "u8", "f16", "i64"] as const) {
    const m = (...dims: number[]): Tensor => of(e, 0, 100, ...dims);
    list.push(
      one("concat", [m(2, 3, 2), m(2, 1, 2), m(2, 0, 2)], { axis: -2 }),
      one("concat", [m(3), m(4)], { axis: 0 }),
      one("split", [m(7, 3)], { num_outputs: 3, axis: 0 }, 3),
      one("split", [m(2, 6), ints(1, 0, 5)], { axis: -1 }, 3),
      one("slice", [m(5, 6), ints(4, -1), ints(-100, 0), ints(0, 1), ints(-1, -2)]),
      one("slice", [m(5, 6), ints(1), ints(100)]),
      one("slice", [m(5, 6), ints(3), ints(1), ints(-1)]),
      one("gather", [m(3, 4, 2), t("i64", [2, 2], [0, -1, 3, 1])], { axis: 1 }),
      one("gather", [m(5), scalar("i32", -2)]),
      one("gather_elements", [m(3, 4), t("i64", [2, 4], [0, -1, 2, 1, 1, 1, 0, -3])]),
      one("gather_nd", [m(2, 3, 4), t("i64", [2, 2], [1, 2, 0, -1])]),
      one("gather_nd", [m(2, 3, 4), t("i64", [2, 1], [1, 2])], { batch_dims: 1 }),
      one("pad", [m(2, 3), ints(1, 2, 0, 1), scalar(e, 5)]),
      one("pad", [m(3, 4), ints(-1, 2, 0, -1)]),
      one("pad", [m(3, 4), ints(2, 1), null, ints(-1)], { mode: "reflect" }),
      one("pad", [m(3, 4), ints(1, 2, 3, 4)], { mode: "edge" }),
      one("pad", [m(2, 3, 4), ints(1, -1, 0, 0, 2, 0), scalar(e, 5)]),
      one("pad", [m(3, 2, 1, 5), ints(0, 0, 0, 0, 0, 0, 1, 0)]),
      one("pad", [m(2, 3, 4), ints(0, 5, 0, 0, -4, 0)]),
      one("pad", [m(2, 3, 4, 1), ints(0, 0, 1, 0, 0, 0, 2, 0)], { mode: "edge" }),
      one("pad", [m(2, 3, 1, 2), ints(2, 1, 0, 0, 1, 0, 0, 0)], { mode: "wrap" }),
      one("pad", [m(3, 4), ints(1, 2, 3, 4)], { mode: "wrap" }),
      one("reshape", [m(2, 3, 4), ints(0, -1)]),
      one("reshape", [m(0, 3), ints(3, 0)], { allowzero: 1 }),
      one("transpose", [m(2, 3, 4, 5)], { perm: [0, 2, 3, 1] }),
      one("transpose", [m(2, 3, 4, 5)], { perm: [3, 1, 0, 2] }),
      one("transpose", [m(7, 9)]),
      one("transpose", [m(2, 1, 3, 2, 2, 2)], { perm: [5, 3, 1, 0, 4, 2] }),
      one("flatten", [m(2, 3, 4)], { axis: -1 }),
      one("flatten", [m(2, 3)], { axis: 0 }),
      one("squeeze", [m(1, 3, 1), ints(-1)]),
      one("squeeze", [m(1, 3, 1)]),
      one("unsqueeze", [m(3, 2), ints(0, -1)]),
      one("expand", [m(3, 1), ints(2, 1, 4)]),
      one("tile", [m(2, 3), ints(3, 2)]),
      one("tile", [m(2, 3), ints(0, 2)]),
      one("depth_to_space", [m(2, 8, 2, 3)], { blocksize: 2, mode: "CRD" }),
      one("depth_to_space", [m(2, 8, 2, 3)], { blocksize: 2 }),
      one("space_to_depth", [m(1, 3, 4, 6)], { blocksize: 2 }),
      one("trilu", [m(4, 5)], { upper: 0 }),
      one("trilu", [m(2, 4, 3), scalar("i64", -1)]),
      one("identity", [m(4)]),
    );
  }
  list.push(
    one("scatter_elements", [f(3, 3), t("i64", [2, 3], [1, 0, 2, 0, -1, 1]), f(2, 3)]),
    one("scatter_elements", [f(1, 5), t("i64", [1, 3], [1, 1, 4]), f(1, 3)], { axis: 1, reduction: "add" }),
    one("scatter_elements", [of("i32", 0, 9, 1, 5), t("i64", [1, 3], [1, 1, 4]), of("i32", 0, 9, 1, 3)], { axis: 1, reduction: "max" }),
    one("scatter_elements", [f(1, 5), t("i64", [1, 3], [1, 1, 4]), f(1, 3)], { axis: 1, reduction: "mul" }),
    one("scatter_nd", [f(4, 4), t("i64", [2, 1], [0, -1]), f(2, 4)]),
    one("scatter_nd", [of("i64", 0, 9, 8), t("i64", [4, 1], [4, 3, 1, 4]), of("i64", 0, 9, 4)], { reduction: "add" }),
    one("scatter_nd", [of("f64", 0, 9, 8), t("i64", [4, 1], [4, 3, 1, 4]), of("f64", 0, 9, 4)], { reduction: "min" }),
    one("one_hot", [t("i64", [2, 3], [0, 9, -10, 10, -1, 3]), scalar("i64", 10), t("f32", [2], [-1, 3])]),
    one("one_hot", [t("i32", [4], [0, 2, 1, -1]), scalar("i32", 3), t("i32", [2], [0, 1])], { axis: 0 }),
    one("shape", [f(2, 3, 4)], { start: 1, end: -1 }),
    one("shape", [f(2, 3, 4)], { start: -2 }),
    one("size", [f(2, 0, 4)]),
    one("constant_of_shape", [ints(2, 3)]),
    one("constant_of_shape", [ints(0)]),
    one("constant_of_shape", [ints(3)], { value: memoryBlob(new Uint8Array([9])), value_type: "u8" }),
    one("range", [scalar("f32", 1), scalar("f32", 2), scalar("f32", 0.3)]),
    one("range", [scalar("i32", 10), scalar("i32", 0), scalar("i32", -3)]),
    one("range", [scalar("i64", 3), scalar("i64", 3), scalar("i64", 1)]),
    one("range", [scalar("f64", 0), scalar("f64", 1), scalar("f64", 0.1)]),
  );
  const numbers = ["f32", "f64", "f16", "bf16", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "bool"] as const;
  for (const from of numbers) for (const to of numbers) list.push(one("cast", [of(from, 0, from === "bool" ? 1 : 90, 11)], { to }));
  for (const to of ["i8", "i32", "i64", "f16", "bf16", "bool", "f64"] as const)
    list.push(one("cast", [tensor("f32", [7], [-1.5, -0.49, 0, 0.5, 1.5, 2.5, 100.75])], { to }));
  list.push(one("cast", [tensor("f32", [9], [65504, 65519, 65520, 1e-7, 6e-8, 2e-8, 1.0009765625, 1.00048828125, Number.NaN])], { to: "f16" }));
  list.push(one("cast", [of("i32", -70000, 70000, 50)], { to: "i8" }), one("cast", [of("i64", -70000, 70000, 50)], { to: "u16" }));
  list.push(one("cast_like", [f(9), scalar("f64", 0)]), one("cast_like", [f(9), scalar("i8", 0)]));
  return list;
}

function reduce(): NativeCase[] {
  const list: NativeCase[] = [];
  for (const kind of reductions) {
    const x = /log_sum$/.test(kind) ? positive : f;
    list.push(
      one(kind, [x(3, 4, 5)]),
      one(kind, [x(3, 4, 5)], { keepdims: 0 }),
      one(kind, [x(3, 4, 5), ints(1)], { keepdims: 0 }),
      one(kind, [x(3, 4, 5), ints(-1, 0)]),
      one(kind, [x(2, 3, 2, 5), ints(0, 2)], { keepdims: 0 }),
      one(kind, [x(2, 3, 4, 4), ints(2, 3)]),
      one(kind, [x(3, 4), ints()], { noop_with_empty_axes: 1 }),
      one(kind, [x(3, 4), ints()]),
      one(kind, [x(1, 300), ints(1)]),
      one(kind, [x()]),
      one(kind, [of("f64", 0.5, 2, 3, 4), ints(0)]),
    );
    if (!/log|l2|mean/.test(kind)) for (const e of ["i32", "i64"] as const) list.push(one(kind, [of(e, -9, 9, 3, 4), ints(1)]));
    if (!/max|min/.test(kind)) list.push(one(kind, [x(2, 0, 3), ints(1)]));
  }
  for (const kind of ["reduce_max", "reduce_min"]) for (const e of ["u8", "i8", "bool"] as const) list.push(one(kind, [of(e, 0, 1, 3, 4), ints(1)]));
  for (const kind of ["arg_max", "arg_min"]) {
    for (const e of ["f32", "f64", "i8", "u8", "i32", "i64"] as const) {
      list.push(one(kind, [of(e, 0, 3, 3, 4, 5)], { axis: 1 }), one(kind, [of(e, 0, 3, 3, 4)], { axis: -1, keepdims: 0, select_last_index: 1 }));
    }
  }
  for (const e of ["f32", "f64", "i32", "i64", "u64"] as const) {
    list.push(one("top_k", [of(e, 0, 9, 3, 7), ints(3)], {}, 2), one("top_k", [of(e, 0, 9, 5, 2), ints(5)], { axis: 0, largest: 0 }, 2));
  }
  list.push(one("top_k", [f(3, 4), ints(0)], {}, 2));
  for (const e of ["f32", "f64", "i32", "i64"] as const) {
    for (const [exclusive, reverse] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const)
      list.push(one("cum_sum", [of(e, -5, 5, 2, 5, 3), scalar("i64", 1)], { exclusive, reverse }));
  }
  for (const kind of ["softmax", "log_softmax", "hardmax"]) {
    for (const axis of [0, 1, -1]) list.push(one(kind, [f(3, 4, 5)], { axis }));
    list.push(one(kind, [of("f32", -200, 200, 2, 67)]), one(kind, [f(1000)]), one(kind, [f(0, 3)]));
  }
  for (const axis of [0, 1, -1]) {
    const normalized = [3, 4, 5].slice(axis < 0 ? axis + 3 : axis);
    list.push(one("layer_normalization", [f(3, 4, 5), f(...normalized), f(...normalized)], { axis, epsilon: 1e-3 }));
  }
  list.push(
    one("layer_normalization", [f(2, 131), f(131)]),
    one("instance_normalization", [f(2, 3, 5), f(3), f(3)], { epsilon: 1e-3 }),
    one("instance_normalization", [f(2, 3, 4, 5), f(3), f(3)]),
    one("group_normalization", [f(2, 6, 4, 5), f(6), f(6)], { num_groups: 3 }),
    one("group_normalization", [f(2, 6, 7), f(6), f(6)], { num_groups: 1 }),
    one("batch_normalization", [f(2, 3, 4, 5), f(3), f(3), f(3), positive(3)], { epsilon: 1e-3 }),
    one("batch_normalization", [f(4, 3), f(3), f(3), f(3), positive(3)]),
  );
  return list;
}

function linear(): NativeCase[] {
  const list: NativeCase[] = [];
  for (const e of ["f32", "f64", "i32", "i64"] as const) {
    const m = (...dims: number[]): Tensor => of(e, -5, 5, ...dims);
    list.push(
      one("matmul", [m(3, 4), m(4, 5)]),
      one("matmul", [m(4), m(4)]),
      one("matmul", [m(4), m(2, 4, 3)]),
      one("matmul", [m(2, 3, 4), m(4)]),
      one("matmul", [m(2, 1, 3, 4), m(5, 4, 2)]),
      one("matmul", [m(2, 0), m(0, 3)]),
      one("matmul", [m(17, 33), m(33, 65)]),
      one("matmul", [m(1, 100), m(100, 1)]),
      one("gemm", [m(3, 4), m(4, 5)]),
      one("gemm", [m(4, 3), m(5, 4), m(5)], { transA: 1, transB: 1 }),
      one("gemm", [m(4, 3), m(4, 5), m(3, 1)], { transA: 1 }),
      one("gemm", [m(3, 4), m(4, 5), m()], {}),
    );
  }
  list.push(one("gemm", [f(3, 4), f(4, 5), f(3, 5)], { alpha: 0.5, beta: -2, activation: "relu" }));
  for (const [m, n, k] of [
    [1, 1, 1],
    [3, 17, 5],
    [8, 16, 32],
    [7, 33, 64],
    [65, 9, 31],
  ] as const) {
    list.push(
      one("cpu.gemm", [f(m, k), f(n, k), f(n), f(m, n)], { activation: "relu" }),
      one("cpu.gemm", [f(2, m, k), f(n, k), null], { activation: "clip", clip_min: -1, clip_max: 1 }),
      one("cpu.qgemm", [u8(m, k), i8(n, k), of("i32", -9999, 9999, n), of("f32", 0.001, 0.01, n)], q),
      one("cpu.qgemm", [i8(m, k), i8(n, k), null, t("f32", [1], [0.01])], { ...qs, y_type: "i8" }),
      one("cpu.qgemm", [u8(m, k), i8(n, k), null, t("f32", [1], [0.01])], { x_scale: 0.02, x_zp: 113, y_type: "f32", activation: "relu" }),
      one("matmul_integer", [u8(m, k), i8(k, n), scalar("u8", 113), i8(n)]),
      one("matmul_integer", [i8(2, m, k), u8(k, n), scalar("i8", -3), scalar("u8", 7)]),
      one("matmul_integer", [u8(m, k), u8(k, n)]),
      one("qlinear_matmul", [
        u8(m, k),
        scalar("f32", 0.02),
        scalar("u8", 113),
        i8(k, n),
        of("f32", 0.001, 0.01, n),
        i8(n),
        scalar("f32", 0.3),
        scalar("u8", 120),
      ]),
      one("qlinear_matmul", [
        i8(m, k),
        scalar("f32", 0.02),
        scalar("i8", 3),
        i8(k, n),
        scalar("f32", 0.01),
        scalar("i8", 0),
        scalar("f32", 0.3),
        scalar("i8", 1),
      ]),
    );
  }
  return list;
}

function convolution(): NativeCase[] {
  const list: NativeCase[] = [];
  const geometries: readonly { c: number; o: number; g: number; h: number; w: number; k: [number, number]; attrs: Attrs }[] = [
    { c: 3, o: 8, g: 1, h: 9, w: 7, k: [3, 3], attrs: { pads: [1, 1, 1, 1] } },
    { c: 16, o: 24, g: 1, h: 6, w: 6, k: [1, 1], attrs: {} },
    { c: 8, o: 8, g: 8, h: 7, w: 8, k: [3, 3], attrs: { pads: [1, 1, 1, 1], strides: [2, 2] } },
    { c: 35, o: 35, g: 35, h: 5, w: 5, k: [5, 5], attrs: { pads: [2, 2, 2, 2] } },
    { c: 6, o: 4, g: 2, h: 8, w: 5, k: [3, 2], attrs: { pads: [1, 0, 2, 1], dilations: [2, 1], strides: [1, 2] } },
    { c: 4, o: 8, g: 4, h: 5, w: 5, k: [3, 3], attrs: {} },
    { c: 5, o: 33, g: 1, h: 4, w: 4, k: [4, 4], attrs: {} },
    { c: 20, o: 17, g: 1, h: 5, w: 6, k: [1, 1], attrs: { strides: [2, 2] } },
    { c: 1, o: 3, g: 1, h: 12, w: 12, k: [7, 7], attrs: { pads: [3, 3, 3, 3], strides: [2, 2] } },
  ];
  for (const { c, o, g, h, w, k, attrs } of geometries) {
    const at = { ...attrs, group: g };
    const dims = [o, k[0], k[1], c / g];
    list.push(
      one("cpu.conv", [f(2, h, w, c), f(...dims), f(o)], { ...at, activation: "relu" }),
      one("cpu.conv", [f(1, h, w, c), f(...dims)], { ...at, activation: "clip", clip_min: 0, clip_max: 6 }),
      one("cpu.qconv", [u8(2, h, w, c), i8(...dims), of("i32", -9999, 9999, o), of("f32", 0.001, 0.02, o)], { ...at, ...q, q_min: 120, q_max: 250 }),
      one("cpu.qconv", [i8(1, h, w, c), i8(...dims), null, t("f32", [1], [0.01])], { ...at, ...qs }),
      one("cpu.qconv", [u8(1, h, w, c), i8(...dims), null, t("f32", [1], [0.01])], {
        ...at,
        x_scale: 0.02,
        x_zp: 113,
        y_type: "f32",
        activation: "relu",
      }),
      one("conv", [f(2, c, h, w), f(o, c / g, ...k), f(o)], at),
      one("conv_integer", [u8(1, c, h, w), i8(o, c / g, ...k), scalar("u8", 113), scalar("i8", 0)], at),
      one("conv_integer", [u8(1, c, h, w), u8(o, c / g, ...k), scalar("u8", 1), scalar("u8", 3)], at),
      one(
        "qlinear_conv",
        [
          u8(1, c, h, w),
          scalar("f32", 0.02),
          scalar("u8", 113),
          i8(o, c / g, ...k),
          of("f32", 0.001, 0.02, o),
          of("i8", 0, 0, o),
          scalar("f32", 0.3),
          scalar("u8", 120),
          of("i32", -9999, 9999, o),
        ],
        at,
      ),
    );
  }
  const image = { x: [2, 9, 7, 16], w: [12, 3, 3, 16], o: [2, 9, 7, 12] };
  list.push(one("cpu.conv", [f(...image.x), f(...image.w), f(12), f(...image.o)], { pads: [1, 1, 1, 1], activation: "relu" }));
  for (const [x, w, attrs] of [
    [[2, 9, 7, 16], [12, 3, 3, 16], { pads: [1, 1, 1, 1] }],
    [[1, 9, 8, 3], [17, 5, 5, 3], { pads: [2, 2, 2, 2], strides: [2, 2] }],
    [[1, 6, 6, 10], [8, 3, 3, 5], { group: 2 }],
    [[3, 4, 4, 33], [40, 1, 1, 33], {}],
  ] as const)
    list.push(one("cpu.conv", [f(...x), f(...w), f(w[0])], { ...attrs, precision: "bf16" }));
  list.push(one("cpu.gemm", [f(7, 33), f(20, 33), f(20), f(7, 20)], { precision: "bf16", activation: "relu" }));
  for (const algorithm of ["auto", "direct", "winograd_f2", "winograd_f4"]) {
    list.push(
      one("cpu.conv", [f(...image.x), f(...image.w), f(12), f(...image.o)], { pads: [1, 1, 1, 1], activation: "relu", algorithm }),
      one("cpu.conv", [f(2, 21, 19, 40), f(24, 3, 3, 40), f(24)], { pads: [1, 0, 0, 2], activation: "relu", algorithm }),
      one("cpu.conv", [f(1, 3, 4, 5), f(7, 3, 3, 5)], { algorithm }),
    );
  }
  for (const first of [0, 1]) {
    const add = { residual_scale: 0.11, residual_zp: 7, sum_scale: 0.4, sum_zp: 99, residual_first: first };
    const scale = of("f32", 0.001, 0.02, 24);
    list.push(
      // Pointwise over several chunks of rows, in groups, depthwise.
      one("cpu.qconv", [u8(3, 64, 61, 16), i8(24, 1, 1, 16), null, scale, u8(3, 64, 61, 24)], { ...q, ...add }),
      one("cpu.qconv", [u8(1, 6, 5, 16), i8(24, 3, 3, 8), null, scale, u8(1, 4, 3, 24)], { ...q, ...add, group: 2 }),
      one("cpu.qconv", [i8(1, 6, 5, 24), i8(24, 3, 3, 1), null, scale, u8(1, 4, 3, 24)], { ...qs, ...add, sum_type: "u8", group: 24 }),
    );
  }
  for (const algorithm of ["auto", "direct", "winograd_f2"]) {
    for (const first of [0, 1]) {
      const add = { residual_scale: 0.11, residual_zp: 7, sum_scale: 0.4, sum_zp: 99, sum_min: 99, sum_max: 240, residual_first: first };
      const weights = [i8(40, 3, 3, 8), of("i32", -9999, 9999, 40), of("f32", 0.001, 0.02, 40)] as const;
      list.push(
        one("cpu.qconv", [u8(2, 13, 11, 8), ...weights, u8(2, 11, 9, 40)], { ...q, ...add, algorithm }),
        one("cpu.qconv", [u8(1, 5, 6, 8), ...weights, i8(1, 3, 4, 40)], {
          ...q,
          ...add,
          residual_zp: -7,
          sum_type: "i8",
          sum_zp: 3,
          sum_min: -5,
          sum_max: 90,
          algorithm,
        }),
      );
    }
    list.push(
      one("cpu.qconv", [u8(2, 13, 11, 40), i8(24, 3, 3, 40), of("i32", -9999, 9999, 24), of("f32", 0.001, 0.02, 24)], {
        ...q,
        pads: [1, 0, 0, 2],
        algorithm,
      }),
      one("cpu.qconv", [i8(1, 3, 4, 5), i8(7, 3, 3, 5), null, t("f32", [1], [0.01])], { ...qs, algorithm }),
    );
  }
  list.push(
    one("conv", [f(2, 3, 9), f(4, 3, 3), f(4)], { pads: [1, 1], strides: [2] }),
    one("conv", [f(1, 2, 5, 4, 6), f(4, 1, 3, 2, 3), null], { group: 2, pads: [1, 0, 1, 1, 1, 1], dilations: [1, 2, 1] }),
    one("conv", [f(1, 2, 7, 8), f(3, 2, 3, 3)], { auto_pad: "SAME_UPPER", strides: [2, 3] }),
    one("conv", [f(1, 2, 7, 8), f(3, 2, 4, 2)], { auto_pad: "SAME_LOWER", strides: [2, 1] }),
    one("conv", [f(1, 2, 7, 8), f(3, 2, 3, 3)], { auto_pad: "VALID", activation: "relu" }),
    one("conv", [f(1, 2, 5, 5), f(3, 2, 1, 1), f(3), f(1, 3, 5, 5)], { activation: "clip", clip_min: -1, clip_max: 1 }),
  );
  for (const { c, o, g, s, p, extra } of [
    { c: 3, o: 4, g: 1, s: [2, 2], p: [0, 0, 0, 0], extra: {} },
    { c: 4, o: 6, g: 2, s: [2, 3], p: [1, 0, 0, 1], extra: { output_padding: [1, 2] } },
    { c: 4, o: 4, g: 4, s: [1, 1], p: [1, 1, 1, 1], extra: { dilations: [2, 1] } },
  ]) {
    const at = { group: g, strides: s, pads: p, ...extra };
    list.push(
      one("conv_transpose", [f(2, c, 5, 4), f(c, o / g, 3, 2), f(o)], at),
      one("cpu.conv_transpose", [f(2, 5, 4, c), f(c, 3, 2, o / g), f(o)], { ...at, activation: "relu" }),
      one("cpu.conv_transpose", [f(1, 5, 4, c), f(c, 3, 2, o / g)], at),
    );
  }
  list.push(
    one("conv_transpose", [f(1, 2, 6), f(2, 3, 3)], { strides: [2] }),
    one("conv_transpose", [f(1, 2, 3, 3), f(2, 1, 3, 3)], { strides: [3, 2], output_shape: [10, 8] }),
    one("conv_transpose", [f(1, 2, 3, 3), f(2, 1, 3, 3)], { strides: [2, 2], auto_pad: "SAME_UPPER" }),
  );

  for (const [dims, attrs] of [
    [[2, 3, 9, 8], { kernel_shape: [2, 2], strides: [2, 2] }],
    [[1, 5, 7, 7], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 }],
    [[1, 17, 6, 6], { kernel_shape: [3, 2], pads: [1, 0, 0, 1] }],
    [[1, 40, 5, 5], { kernel_shape: [5, 5] }],
    [[1, 2, 9, 9], { kernel_shape: [3, 3], dilations: [2, 2] }],
  ] as const) {
    const [n, c, h, w] = dims;
    list.push(
      one("max_pool", [f(...dims)], attrs, 2),
      one("max_pool", [u8(...dims)], attrs),
      one("max_pool", [i8(...dims)], attrs),
      one("average_pool", [f(...dims)], attrs),
      one("average_pool", [f(...dims)], { ...attrs, count_include_pad: 1 }),
      one("cpu.max_pool", [f(n, h, w, c)], attrs),
      one("cpu.max_pool", [u8(n, h, w, c)], attrs),
      one("cpu.max_pool", [i8(n, h, w, c)], attrs),
      one("cpu.average_pool", [f(n, h, w, c)], attrs),
      one("cpu.average_pool", [f(n, h, w, c)], { ...attrs, count_include_pad: 1 }),
      one("cpu.average_pool", [u8(n, h, w, c)], { ...attrs, ...q, y_scale: 0.017 }),
      one("cpu.average_pool", [i8(n, h, w, c)], { ...attrs, ...qs, y_scale: 0.017 }),
    );
    if (!("dilations" in attrs) && !("ceil_mode" in attrs))
      list.push(one("lp_pool", [f(...dims)], attrs), one("lp_pool", [f(...dims)], { ...attrs, p: 3 }));
    for (const kind of ["global_average_pool", "global_max_pool"]) {
      list.push(one(kind, [f(...dims)]), one(`cpu.${kind}`, [f(n, h, w, c)]));
      const at = kind === "global_average_pool" ? q : {};
      list.push(one(`cpu.${kind}`, [u8(n, h, w, c)], at), one(`cpu.${kind}`, [i8(n, h, w, c)], kind === "global_average_pool" ? qs : {}));
    }
  }
  list.push(
    one("max_pool", [f(2, 3, 9)], { kernel_shape: [3], strides: [2] }, 2),
    one("max_pool", [f(1, 2, 4, 5, 4)], { kernel_shape: [2, 2, 2] }, 2),
    one("average_pool", [f(2, 3, 9)], { kernel_shape: [3], strides: [2], pads: [1, 1] }),
    one("average_pool", [f(1, 2, 4, 5, 4)], { kernel_shape: [2, 2, 2] }),
    one("max_pool", [f(1, 2, 7, 8)], { kernel_shape: [3, 3], auto_pad: "SAME_UPPER", strides: [2, 2] }),
    one("global_average_pool", [f(2, 3, 9)]),
    one("global_max_pool", [f(1, 2, 3, 4, 5)]),
  );
  return list;
}

function quantized(): NativeCase[] {
  const list: NativeCase[] = [];
  const add = { a_scale: 0.5, b_scale: 0.25, b_zp: 4, y_scale: 1.1, y_zp: 3 };
  for (const kind of ["cpu.qadd", "cpu.qmul"]) {
    for (const make of [u8, i8]) {
      list.push(one(kind, [make(2, 3, 5, 7), make(2, 3, 5, 7)], add), one(kind, [make(2, 3, 5, 7), make(7)], { ...add, q_min: 5, q_max: 90 }));
      list.push(one(kind, [make(2, 1, 3), make(4, 1)], add), one(kind, [make(33), make(1)], add));
    }
  }
  list.push(
    one("cpu.requantize", [u8(99)], { ...q, y_type: "i8", y_zp: -3 }),
    one("cpu.requantize", [i8(99)], { ...qs, y_type: "u8" }),
    one("cpu.requantize", [u8(99)], q),
  );
  list.push(one("cpu.lut", [u8(300), u8(256)]), one("cpu.lut", [i8(300), i8(256)]));
  for (const e of ["u8", "i8", "u16", "i16"] as const) {
    const [low, high] = e === "u8" ? [0, 255] : e === "i8" ? [-128, 127] : e === "u16" ? [0, 65535] : [-32768, 32767];
    list.push(
      one("quantize_linear", [of("f32", -70, 70, 300), scalar("f32", 0.25), scalar(e, 5)]),
      one("quantize_linear", [of("f32", -70, 70, 2, 3, 5), of("f32", 0.1, 0.5, 3), of(e, 1, 9, 3)]),
      one("quantize_linear", [of("f32", -70, 70, 4, 5), of("f32", 0.1, 0.5, 5), of(e, 1, 9, 5)], { axis: -1 }),
      one("dequantize_linear", [of(e, low, high, 300), scalar("f32", 0.25), scalar(e, 5)]),
      one("dequantize_linear", [of(e, low, high, 2, 3, 5), of("f32", 0.1, 0.5, 3), of(e, 1, 9, 3)]),
      one("dequantize_linear", [of(e, low, high, 3, 5), of("f32", 0.1, 0.5, 3)], { axis: 0 }),
    );
  }
  // Exact halves round to even.
  list.push(one("quantize_linear", [tensor("f32", [8], [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 1e30, -1e30]), scalar("f32", 1), scalar("i8", 0)]));
  list.push(one("quantize_linear", [f(9), scalar("f32", 0.1)]), one("dequantize_linear", [of("i32", -99999, 99999, 40), scalar("f32", 0.001)]));
  for (const x of [f(40), positive(3, 7), of("f32", -9, -3, 20), of("f32", 0, 0, 5)]) list.push(one("dynamic_quantize_linear", [x], {}, 3));
  return list;
}

function resizes(): NativeCase[] {
  const list: NativeCase[] = [];
  const none = null;
  for (const coordinate_transformation_mode of ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]) {
    for (const [h, w] of [
      [8, 9],
      [3, 2],
      [1, 7],
    ] as const) {
      for (const mode of ["nearest", "linear", "cubic"])
        list.push(one("resize", [f(1, 2, 4, 5), none, none, ints(1, 2, h, w)], { mode, coordinate_transformation_mode }));
    }
    list.push(one("resize", [f(1, 2, 4, 5), none, t("f32", [4], [1, 1, 1.5, 0.7])], { mode: "linear", coordinate_transformation_mode }));
  }
  for (const nearest_mode of ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    list.push(one("resize", [u8(1, 1, 4, 5), none, none, ints(1, 1, 7, 3)], { mode: "nearest", nearest_mode }));
  list.push(
    one("resize", [f(1, 1, 4, 5), none, none, ints(7, 3)], { mode: "linear", axes: [2, 3] }),
    one("resize", [f(1, 1, 6, 5), none, t("f32", [4], [1, 1, 0.6, 0.6])], { mode: "cubic", exclude_outside: 1, cubic_coeff_a: -0.5 }),
    one("resize", [f(1, 1, 4, 5), none, none, ints(7, 8)], { mode: "nearest", axes: [2, 3], keep_aspect_ratio_policy: "not_larger" }),
    one("resize", [f(3, 4), none, t("f32", [2], [2, 1])], { mode: "linear" }),
    one("resize", [i8(1, 2, 3, 3), none, t("f32", [4], [1, 1, 2, 2])]),
  );
  return list;
}

function recurrent(): NativeCase[] {
  const list: NativeCase[] = [];
  const [s, b, i, h] = [5, 3, 4, 6];
  for (const [kind, gates] of [
    ["rnn", 1],
    ["gru", 3],
    ["lstm", 4],
  ] as const) {
    for (const direction of ["forward", "reverse", "bidirectional"]) {
      const d = direction === "bidirectional" ? 2 : 1;
      const outputs = kind === "lstm" ? 3 : 2;
      const base = (): Tensor[] => [f(s, b, i), f(d, gates * h, i), f(d, gates * h, h)];
      const attrs = { hidden_size: h, direction };
      const initial = kind === "lstm" ? [f(d, b, h), f(d, b, h)] : [f(d, b, h)];
      list.push(
        one(kind, base(), attrs, outputs),
        one(kind, [...base(), f(d, 2 * gates * h), t("i32", [b], [5, 2, 1]), ...initial], attrs, outputs),
        one(kind, [...base(), f(d, 2 * gates * h)], { ...attrs, clip: 0.5 }, outputs),
      );
      if (kind === "lstm") {
        list.push(one(kind, [...base(), f(d, 8 * h), null, ...initial, f(d, 3 * h)], attrs, outputs));
        list.push(one(kind, base(), { ...attrs, input_forget: 1 }, outputs));
      }
      if (kind === "gru") list.push(one(kind, [...base(), f(d, 6 * h)], { ...attrs, linear_before_reset: 1 }, outputs));
    }
    list.push(one(kind, [f(b, s, i), f(1, gates * h, i), f(1, gates * h, h)], { hidden_size: h, layout: 1 }, kind === "lstm" ? 3 : 2));
  }
  return list;
}

export const cases: readonly NativeCase[] = [
  ...samples.map((c) => ({ ...c, operands: c.operands as readonly (Tensor | null)[] })),
  ...elementwise(),
  ...training(),
  ...movement(),
  ...reduce(),
  ...linear(),
  ...convolution(),
  ...quantized(),
  ...resizes(),
  ...recurrent(),
].map((c) => (constants[c.kind] === undefined ? c : { ...c, constant: constants[c.kind] as readonly number[] }));
