import { expect, it } from "vitest";
import type { Tensor } from "../../../../compiler/core/ir/tensor.js";
import { evaluate, ints, iota, scalar, t, values } from "./support.js";

const first = (kind: string, operands: readonly (Tensor | null)[], attrs = {}): Tensor => evaluate(kind, operands, attrs)[0] as Tensor;

it("computes 64-bit integers exactly", () => {
  const big = 9007199254740993n; // 2^53 + 1, which no double holds
  expect(first("add", [t("i64", [1], [big]), t("i64", [1], [2n])]).data).toEqual(BigInt64Array.of(big + 2n));
  expect(first("mul", [t("i64", [1], [3037000500n]), t("i64", [1], [3037000500n])]).data).toEqual(
    BigInt64Array.of(BigInt.asIntN(64, 3037000500n ** 2n)),
  );
  expect(first("div", [t("i64", [2], [-7n, 7n]), t("i64", [1], [2n])]).data).toEqual(BigInt64Array.of(-3n, 3n));
  expect(first("cast", [t("i64", [1], [2n ** 32n + 5n])], { to: "i32" }).data).toEqual(Int32Array.of(5));
  expect(first("reduce_sum", [t("i64", [2], [big, big])], { keepdims: 0 }).data).toEqual(BigInt64Array.of(2n * big));
  expect(first("max", [t("i64", [1], [big]), t("i64", [1], [big - 1n])]).data).toEqual(BigInt64Array.of(big));
});

it("wraps 32-bit products that pass 2^53", () => {
  // 2147483647^2 = 2^62 - 2^32 + 1, that is 1 modulo 2^32.
  expect(values("mul", [t("i32", [1], [2147483647]), t("i32", [1], [2147483647])])).toEqual([1]);
});

it("rounds each result once to its type", () => {
  expect(values("add", [scalar("f32", 16777216), scalar("f32", 1)])).toEqual([16777216]);
  expect(values("add", [scalar("f16", 2048), scalar("f16", 1)])).toEqual([2048]);
  expect(values("div", [scalar("f32", 1), scalar("f32", 3)])).toEqual([Math.fround(1 / 3)]);
});

it("rounds half to even, and keeps NaN through clip, relu and max", () => {
  expect(values("round", [t("f32", [5], [0.5, 1.5, 2.5, -0.5, -1.5])])).toEqual([0, 2, 2, -0, -2]);
  expect(values("relu", [t("f32", [3], [-1, Number.NaN, 2])])).toEqual([0, Number.NaN, 2]);
  expect(values("max", [t("f32", [2], [1, Number.NaN]), scalar("f32", 5)])).toEqual([5, Number.NaN]);
  expect(values("clip", [t("f32", [3], [-3, 0, 9]), scalar("f32", -1), null])).toEqual([-1, 0, 9]);
});

it("knows erf and its users to published values", () => {
  // Abramowitz and Stegun, table 7.1.
  expect(values("erf", [t("f64", [4], [0.5, 1, 2, -3])]).map((v) => v.toFixed(10))).toEqual([
    "0.5204998778",
    "0.8427007929",
    "0.9953222650",
    "-0.9999779095",
  ]);
  expect(values("gelu", [scalar("f64", 1)])[0]).toBeCloseTo(0.8413447461, 9);
});

it("takes the remainder with the divisor's sign, or with fmod the dividend's", () => {
  const [a, b] = [t("i32", [4], [-4, 7, 5, 4]), t("i32", [4], [3, -3, 8, -3])];
  expect(values("mod", [a, b])).toEqual([2, -2, 5, -2]);
  expect(values("mod", [a, b], { fmod: 1 })).toEqual([-1, 1, 5, 1]);
});

it("convolves, with groups, dilation and padding, like the sum written out", () => {
  expect(values("conv", [iota(1, 1, 3, 3), t("f32", [1, 1, 2, 2], [1, 2, 3, 4])])).toEqual([27, 37, 57, 67]);
  expect(values("conv", [iota(1, 1, 5), t("f32", [1, 1, 2], [1, -1])], { dilations: [3], pads: [1, 1] })).toEqual([-2, -3, -3, 2]);
  expect(values("conv", [iota(1, 2, 1, 2), t("f32", [2, 1, 1, 1], [10, 100]), t("f32", [2], [1, 2])], { group: 2 })).toEqual([1, 11, 202, 302]);
});

it("adds a residual before the fused activation", () => {
  const operands = [t("f32", [1, 1, 2], [1, 2]), t("f32", [1, 1, 1], [-1]), null, t("f32", [1, 1, 2], [0.5, 4])];
  expect(values("conv", operands, { activation: "relu" })).toEqual([0, 2]);
  expect(values("conv", operands, { activation: "clip", clip_min: -0.25, clip_max: 1 })).toEqual([-0.25, 1]);
  expect(values("add", [t("f32", [2], [1, -9]), t("f32", [2], [7, 1])], { activation: "clip", clip_min: 0, clip_max: 6 })).toEqual([6, 0]);
});

it("spreads each input of a transposed convolution over its window", () => {
  expect(values("conv_transpose", [t("f32", [1, 1, 2], [1, 2]), t("f32", [1, 1, 3], [1, 10, 100])])).toEqual([1, 12, 120, 200]);
  expect(values("conv_transpose", [t("f32", [1, 1, 2], [1, 2]), t("f32", [1, 1, 2], [1, 10])], { strides: [2], output_padding: [1] })).toEqual([
    1, 10, 2, 20, 0,
  ]);
});

it("divides an average by what lies in the image, or in the padding too", () => {
  const x = t("f32", [1, 1, 3], [3, 6, 9]);
  expect(values("average_pool", [x], { kernel_shape: [2], pads: [1, 0] })).toEqual([3, 4.5, 7.5]);
  expect(values("average_pool", [x], { kernel_shape: [2], pads: [1, 0], count_include_pad: 1 })).toEqual([1.5, 4.5, 7.5]);
  // The second window reaches one past the end: ceil_mode never counts that.
  expect(values("average_pool", [x], { kernel_shape: [2], strides: [2], ceil_mode: 1, count_include_pad: 1 })).toEqual([4.5, 9]);
});

it("gives the position of each maximum over the whole tensor", () => {
  const [y, index] = evaluate("max_pool", [t("f32", [1, 2, 4], [1, 5, 2, 4, 8, 7, 6, 9])], { kernel_shape: [2], strides: [2] }, 2) as [
    Tensor,
    Tensor,
  ];
  expect(Array.from(y.data as Float32Array)).toEqual([5, 4, 8, 9]);
  expect(index.data).toEqual(BigInt64Array.of(1n, 3n, 4n, 7n));
});

it("moves data", () => {
  expect(values("transpose", [iota(2, 3)])).toEqual([0, 3, 1, 4, 2, 5]);
  expect(values("slice", [iota(6), ints(-1), ints(-7), ints(0), ints(-2)])).toEqual([5, 3, 1]);
  expect(values("gather", [iota(2, 3), t("i64", [2], [-1, 0])], { axis: 1 })).toEqual([2, 0, 5, 3]);
  expect(values("concat", [iota(2, 1), iota(2, 2)], { axis: 1 })).toEqual([0, 0, 1, 1, 2, 3]);
  expect(values("pad", [t("f32", [3], [1, 2, 3]), ints(2, 2)], { mode: "reflect" })).toEqual([3, 2, 1, 2, 3, 2, 1]);
  expect(values("pad", [t("f32", [3], [1, 2, 3]), ints(2, 1)], { mode: "edge" })).toEqual([1, 1, 1, 2, 3, 3]);
  expect(values("pad", [t("f32", [3], [1, 2, 3]), ints(-1, 1), scalar("f32", 7)])).toEqual([2, 3, 7]);
  expect(values("tile", [iota(1, 2), ints(2, 2)])).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
  expect(values("depth_to_space", [iota(1, 4, 1, 2)], { blocksize: 2 })).toEqual([0, 2, 1, 3, 4, 6, 5, 7]);
  expect(values("trilu", [iota(2, 3)], { upper: 0 })).toEqual([0, 0, 0, 3, 4, 0]);
  expect(values("scatter_elements", [iota(3), t("i64", [2], [0, 0]), t("f32", [2], [5, 6])], { reduction: "add" })).toEqual([11, 1, 2]);
});

it("refuses indices outside the axis", () => {
  expect(() => evaluate("gather", [iota(2), t("i64", [1], [2])])).toThrow(RangeError);
  expect(() => evaluate("scatter_nd", [iota(2), t("i64", [1, 1], [-3]), t("f32", [1], [0])])).toThrow(RangeError);
});

it("resizes by nearest, linear and cubic weights", () => {
  const x = t("f32", [1, 1, 1, 2], [0, 4]);
  const scales = t("f32", [4], [1, 1, 1, 2]);
  expect(values("resize", [x, null, scales])).toEqual([0, 0, 4, 4]);
  expect(values("resize", [x, null, scales], { mode: "linear" })).toEqual([0, 1, 3, 4]);
  expect(values("resize", [x, null, scales], { mode: "linear", coordinate_transformation_mode: "align_corners" }).map((v) => v.toFixed(4))).toEqual([
    "0.0000",
    "1.3333",
    "2.6667",
    "4.0000",
  ]);
  expect(values("resize", [x, null, scales], { mode: "linear", coordinate_transformation_mode: "asymmetric" })).toEqual([0, 2, 4, 4]);
});

it("casts as ONNX says: truncation, wrap-around, saturation of the 8-bit floats", () => {
  expect(values("cast", [t("f32", [3], [-1.9, 2.9, Number.NaN])], { to: "i32" })).toEqual([-1, 2, 0]);
  expect(values("cast", [t("f32", [2], [-9, 17])], { to: "u4" })).toEqual([7, 1]);
  expect(values("cast", [t("f32", [3], [1000, Number.POSITIVE_INFINITY, 0.1])], { to: "f8e4m3fn" })).toEqual([448, 448, 0.1015625]);
  expect(values("cast", [t("f32", [2], [1000, 464])], { to: "f8e4m3fn", saturate: 0 })).toEqual([Number.NaN, 448]);
  expect(values("cast", [t("f32", [2], [1e9, 61440])], { to: "f8e5m2", saturate: 0 })).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  expect(values("cast", [t("f32", [3], [9, -2.5, 0.24])], { to: "f4e2m1" })).toEqual([6, -2, 0]);
  expect(values("cast", [t("string", [3], ["1.5", "-inf", " 2 "])], { to: "f32" })).toEqual([1.5, Number.NEGATIVE_INFINITY, 2]);
  expect(() => evaluate("cast", [t("string", [1], ["one"])], { to: "f32" })).toThrow(/no number/);
});

it("quantizes half to even, saturates, and takes NaN as the zero point", () => {
  const x = t("f32", [6], [0.25, 0.75, 1.25, 1e9, -1e9, Number.NaN]);
  expect(values("quantize_linear", [x, scalar("f32", 0.5), scalar("u8", 10)])).toEqual([10, 12, 12, 255, 0, 10]);
  expect(values("quantize_linear", [t("f32", [2, 2], [1, 2, 3, 4]), t("f32", [2], [1, 2]), t("i8", [2], [0, 1])], { axis: 0 })).toEqual([1, 2, 3, 3]);
  expect(values("quantize_linear", [t("f32", [4], [1, 2, 3, 4]), t("f32", [2], [1, 2])], { axis: 0, block_size: 2, output_dtype: "i8" })).toEqual([
    1, 2, 2, 2,
  ]);
  expect(values("dequantize_linear", [t("i8", [2, 2], [1, 2, 3, 4]), t("f32", [2], [0.5, 2]), t("i8", [2], [1, 0])])).toEqual([0, 4, 1, 8]);
});

it("requantizes with factors rounded to f32 in the stated order", () => {
  // acc = 3 * 7 - 2 * 5 = 11; 11 * (0.5 * 0.25 / 0.125) = 11.
  const y = values("qlinear_matmul", [
    t("u8", [1, 2], [4, 3]),
    scalar("f32", 0.5),
    scalar("u8", 1),
    t("i8", [2, 1], [7, -5]),
    scalar("f32", 0.25),
    scalar("i8", 0),
    scalar("f32", 0.125),
    scalar("u8", 100),
  ]);
  expect(y).toEqual([111]);
});

it("quantizes dynamically to a range that holds 0", () => {
  const [y, scale, zero] = evaluate("dynamic_quantize_linear", [t("f32", [6], [0, 2, -3, -2.5, 1.34, 0.5])], {}, 3) as [Tensor, Tensor, Tensor];
  // From the operator's documentation: scale 5 / 255, zero point 153.
  expect(Array.from(y.data as Uint8Array)).toEqual([153, 255, 0, 26, 221, 179]);
  expect(scale.data[0]).toBe(Math.fround(5 / 255));
  expect(zero.data[0]).toBe(153);
  const flat = evaluate("dynamic_quantize_linear", [t("f32", [2], [0, 0])], {}, 3) as [Tensor, Tensor, Tensor];
  expect(flat.map((r) => Number(r.data[0]))).toEqual([0, 1, 0]);
});

it("steps recurrent cells as their equations say", () => {
  const w = (n: number, v: number): Tensor => t("f32", [1, n, 1], new Array(n).fill(v));
  const x = t("f32", [2, 1, 1], [1, 2]);
  const h1 = Math.tanh(0.5);
  expect(values("rnn", [x, w(1, 0.5), w(1, 0.25)])).toEqual(
    [h1, Math.tanh(1 + 0.25 * Math.fround(h1))].map((v) => expect.closeTo(v, 6) as unknown as number),
  );
  const s = (v: number): number => 1 / (1 + Math.exp(-v));
  // One step from 0: c = s(x w) tanh(x w), h = s(x w) tanh(c).
  const c = s(0.5) * Math.tanh(0.5);
  const [, h, cell] = evaluate("lstm", [t("f32", [1, 1, 1], [1]), w(4, 0.5), w(4, 0.25)], {}, 3) as [Tensor, Tensor, Tensor];
  expect(cell.data[0]).toBeCloseTo(c, 6);
  expect(h.data[0]).toBeCloseTo(s(0.5) * Math.tanh(c), 6);
  // gru from 0: h = (1 - z) tanh(x w).
  expect(values("gru", [t("f32", [1, 1, 1], [1]), w(3, 0.5), w(3, 0.25)])[0]).toBeCloseTo((1 - s(0.5)) * Math.tanh(0.5), 6);
});

it("runs the reverse direction over each sample's own length", () => {
  const w = t("f32", [1, 1, 1], [1]);
  const zero = t("f32", [1, 1, 1], [0]);
  const x = t("f32", [3, 2, 1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]);
  const lengths = t("i32", [2], [3, 1]);
  const [y, last] = evaluate("rnn", [x, w, zero, null, lengths], { direction: "reverse", activations: ["Affine"] }, 2) as [Tensor, Tensor];
  expect(Array.from(y.data as Float32Array, (v) => v.toFixed(1))).toEqual(["0.1", "0.2", "0.3", "0.0", "0.5", "0.0"]);
  expect(Array.from(last.data as Float32Array, (v) => v.toFixed(1))).toEqual(["0.1", "0.2"]);
});

it("gives empty reductions their neutral element", () => {
  const none = t("f32", [0, 2], []);
  expect(values("reduce_sum", [none, ints(0)])).toEqual([0, 0]);
  expect(values("reduce_prod", [none, ints(0)])).toEqual([1, 1]);
  expect(values("reduce_max", [none, ints(0)])).toEqual([Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]);
  expect(values("reduce_min", [t("i32", [0], []), ints(0)])).toEqual([2147483647]);
  expect(values("reduce_max", [t("bool", [0], []), ints(0)])).toEqual([0]);
});

it("traces and sums by einsum", () => {
  expect(values("einsum", [iota(2, 2)], { equation: "ii" })).toEqual([3]);
  expect(values("einsum", [iota(2, 2, 3), iota(3, 1)], { equation: "...ij,jk->...ik" })).toEqual([5, 14, 23, 32]);
});
