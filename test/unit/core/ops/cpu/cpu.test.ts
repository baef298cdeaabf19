/** The engine's kinds against ONNX semantics, and the 8-bit ones against their formulas written out. */
import { expect, it } from "vitest";
import { roundHalfEven, type Tensor, toNumbers } from "../../../../../compiler/core/ir/tensor.js";
import { randomFrom } from "../../../../../compiler/core/random.js";
import { evaluate, scalar, t, values } from "../support.js";

const f = Math.fround;

const random = (seed: number): ((low: number, high: number) => number) => {
  const next = randomFrom(seed);
  return (low, high) => Math.floor(low + next() * (high - low + 1));
};
const filled = (elem: "f32" | "u8" | "i8" | "i32", dims: readonly number[], seed: number, low = -4, high = 4): Tensor => {
  const next = random(seed);
  return t(
    elem,
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => next(low, high)),
  );
};
const transpose = (x: Tensor, perm: number[]): Tensor => evaluate("transpose", [x], { perm })[0] as Tensor;
const first = (x: Tensor): Tensor => transpose(x, [0, 3, 1, 2]);
const last = (x: Tensor): Tensor => transpose(x, [0, 2, 3, 1]);

it("cpu.conv is conv between transposes", () => {
  const x = filled("f32", [2, 7, 6, 4], 1);
  const w = filled("f32", [6, 3, 2, 2], 2);
  const bias = filled("f32", [6], 3);
  const attrs = { group: 2, strides: [2, 1], dilations: [1, 2], pads: [1, 0, 2, 1], activation: "clip", clip_min: -20, clip_max: 30 };
  const want = last(evaluate("conv", [first(x), first(w), bias], attrs)[0] as Tensor);
  const residual = filled("f32", want.dims, 4, 0, 0);
  expect(evaluate("cpu.conv", [x, w, bias, residual], attrs)[0]).toEqual(want);
});

it("cpu.conv_transpose and the f32 pools are ONNX's between transposes", () => {
  const x = filled("f32", [1, 4, 5, 4], 5);
  const w = filled("f32", [4, 3, 2, 3], 6);
  const attrs = { group: 2, strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 0] };
  // w [C, kh, kw, O/g] to ONNX's [C, O/g, kh, kw].
  expect(evaluate("cpu.conv_transpose", [x, w], attrs)[0]).toEqual(last(evaluate("conv_transpose", [first(x), first(w)], attrs)[0] as Tensor));
  const pool = { kernel_shape: [3, 2], strides: [2, 2], pads: [1, 1, 1, 0], ceil_mode: 1 };
  expect(evaluate("cpu.max_pool", [x], pool)[0]).toEqual(last(evaluate("max_pool", [first(x)], pool)[0] as Tensor));
  const average = { ...pool, count_include_pad: 1 };
  expect(evaluate("cpu.average_pool", [x], average)[0]).toEqual(last(evaluate("average_pool", [first(x)], average)[0] as Tensor));
  expect(evaluate("cpu.global_average_pool", [x])[0]).toEqual(last(evaluate("global_average_pool", [first(x)])[0] as Tensor));
  expect(evaluate("cpu.global_max_pool", [x])[0]).toEqual(last(evaluate("global_max_pool", [first(x)])[0] as Tensor));
});

it("cpu.qconv is the written-out sum, requantized per channel; padding is real 0", () => {
  const [h, w, c, o] = [5, 4, 3, 2];
  const x = filled("u8", [1, h, w, c], 7, 0, 255);
  const weights = filled("i8", [o, 3, 3, c], 8, -128, 127);
  const bias = t("i32", [o], [1000, -70000]);
  const scales = [0.013, 0.0071];
  const attrs = { pads: [1, 1, 1, 1], x_scale: 0.02, x_zp: 113, y_scale: 0.35, y_zp: 120, q_min: 120, q_max: 250 };
  const y = evaluate("cpu.qconv", [x, weights, bias, t("f32", [o], scales)], attrs)[0] as Tensor;
  expect(y.type).toBe("u8");
  expect(y.dims).toEqual([1, h, w, o]);
  const xv = x.data as Uint8Array;
  const wv = weights.data as Int8Array;
  for (let i = 0; i < h; i++) {
    for (let j = 0; j < w; j++) {
      for (let k = 0; k < o; k++) {
        let acc = (bias.data as Int32Array)[k] as number;
        for (let u = 0; u < 3; u++) {
          for (let v = 0; v < 3; v++) {
            const [p, r] = [i + u - 1, j + v - 1];
            if (p < 0 || r < 0 || p >= h || r >= w) continue;
            for (let l = 0; l < c; l++) acc += ((xv[(p * w + r) * c + l] as number) - 113) * (wv[((k * 3 + u) * 3 + v) * c + l] as number);
          }
        }
        const m = f(f(f(0.02) * f(scales[k] as number)) / f(0.35));
        const want = Math.min(250, Math.max(120, roundHalfEven(f(f(acc) * m)) + 120));
        expect((y.data as Uint8Array)[(i * w + j) * o + k]).toBe(want);
      }
    }
  }
});

it("cpu.qgemm saturates nothing on the way: 255 * 127 runs are exact", () => {
  const k = 2048;
  const x = t("u8", [1, k], new Array(k).fill(255));
  const w = t("i8", [2, k], [...new Array(k).fill(127), ...new Array(k).fill(-128)]);
  const exact = evaluate(
    "cpu.qgemm",
    [x, w, null, scalar("f32", 1)].map((o, i) => (i === 3 ? t("f32", [1], [1]) : o)),
    { x_scale: 1, y_type: "f32" },
  )[0] as Tensor;
  expect(Array.from(toNumbers(exact))).toEqual([255 * 127 * k, -255 * 128 * k]);
});

it("cpu.qgemm wraps its sums modulo 2^32", () => {
  const y = values("cpu.qgemm", [t("u8", [1, 1], [1]), t("i8", [1, 1], [1]), t("i32", [1], [2147483647]), t("f32", [1], [1])], {
    x_scale: 1,
    y_type: "f32",
  });
  expect(y).toEqual([-2147483648]);
});

// All 65,536 pairs of a QLinearAdd in ONNX Runtime 1.30 on x86 (AVX2, FMA), for parameters where other orders of the same sum differ at ties.
it("cpu.qadd rounds like ONNX Runtime's QLinearAdd where the order of the sum decides", () => {
  const s = {
    a_scale: 0.14466580748558044,
    a_zp: 124,
    b_scale: 0.14874021708965302,
    b_zp: 95,
    y_scale: 0.16438770294189453,
    y_zp: 111,
    y_type: "u8",
  };
  const pairs = [
    [5, 0, 0],
    [250, 38, 170],
    [239, 77, 196],
    [150, 99, 138],
    [228, 116, 222],
    [127, 149, 163],
    [217, 155, 247],
    [179, 157, 216],
    [206, 194, 255],
    [195, 233, 255],
  ] as const;
  const y = values(
    "cpu.qadd",
    [
      t(
        "u8",
        [pairs.length],
        pairs.map((p) => p[0]),
      ),
      t(
        "u8",
        [pairs.length],
        pairs.map((p) => p[1]),
      ),
    ],
    s,
  );
  expect(y).toEqual(pairs.map((p) => p[2]));
});

it("cpu.qmul broadcasts and multiplies exactly", () => {
  const y = values("cpu.qmul", [t("u8", [2, 2], [0, 128, 255, 64]), t("u8", [2], [255, 2])], {
    a_scale: 0.5,
    a_zp: 128,
    b_scale: 0.5,
    y_scale: 16,
    y_zp: 128,
  });
  // (a - 128) * b / 64: -32640/64 = -510, 0, 32385/64 = 506.0, -128/64 = -2.
  expect(y).toEqual([0, 128, 255, 126]);
});

it("8-bit averages divide by the count in the scale and take padding as real 0", () => {
  const x = t("u8", [1, 2, 2, 1], [10, 12, 14, 17]);
  expect(values("cpu.global_average_pool", [x], { x_scale: 1, x_zp: 10, y_scale: 0.5, y_zp: 3 })).toEqual([roundHalfEven(13 * (1 / (0.5 * 4))) + 3]);
  const attrs = { kernel_shape: [2, 2], strides: [2, 2], pads: [1, 1, 1, 1], count_include_pad: 1, x_scale: 1, x_zp: 10, y_scale: 0.25, y_zp: 0 };
  expect(values("cpu.average_pool", [x], attrs)).toEqual([0, 2, 4, 7]);
  expect(values("cpu.average_pool", [x], { ...attrs, count_include_pad: 0 })).toEqual([0, 8, 16, 28]);
});

it("cpu.requantize and cpu.lut map single bytes", () => {
  expect(values("cpu.requantize", [t("u8", [4], [0, 3, 5, 255])], { x_scale: 0.5, x_zp: 3, y_scale: 1, y_zp: -1, y_type: "i8" })).toEqual([
    -3, -1, 0, 125,
  ]);
  expect(
    values("cpu.lut", [
      t("i8", [3], [-1, 0, 127]),
      t(
        "i8",
        [256],
        Array.from({ length: 256 }, (_, i) => i - 128),
      ),
    ]),
  ).toEqual([127, -128, -1]);
});
