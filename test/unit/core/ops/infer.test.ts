import { expect, it } from "vitest";
import { Graph, type Value } from "../../../../compiler/core/ir/graph.js";
import { inferGraph } from "../../../../compiler/core/ir/infer.js";
import { blobOf } from "../../../../compiler/core/ir/tensor.js";
import { formatType, tensorType, UNKNOWN } from "../../../../compiler/core/ir/types.js";
import { build, inferred, ints, of, scalar, t, unranked } from "./support.js";

it("broadcasts symbols: 1 gives way, a number wins over a symbol, two symbols that differ are unknown", () => {
  expect(inferred("add", [of("f32", "N", 1, 8), of("f32", 1, "S", 8)])).toEqual(["f32[N, S, 8]"]);
  expect(inferred("mul", [of("f32", "N", 4), of("f32", "N", 4)])).toEqual(["f32[N, 4]"]);
  expect(inferred("sub", [of("f32", "N"), of("f32", 3)])).toEqual(["f32[3]"]);
  expect(inferred("less", [of("f32", "N"), of("f32", "M")])).toEqual(["bool[?]"]);
  expect(inferred("add", [of("f32", 2, 3), unranked("f32")])).toEqual(["f32[*]"]);
});

it("convolves shapes of one to three axes as the ONNX formula says", () => {
  // floor((in + pads - ((k - 1) * d + 1)) / s) + 1, by hand.
  expect(inferred("conv", [of("f32", "N", 3, 224, 224), of("f32", 64, 3, 7, 7)], { strides: [2, 2], pads: [3, 3, 3, 3] })).toEqual([
    "f32[N, 64, 112, 112]",
  ]);
  expect(inferred("conv", [of("f32", 1, 4, 10), of("f32", 6, 2, 3)], { group: 2, dilations: [2] })).toEqual(["f32[1, 6, 6]"]);
  expect(inferred("conv", [of("f32", 1, 1, 4, 5, 6), of("f32", 2, 1, 1, 2, 3)])).toEqual(["f32[1, 2, 4, 4, 4]"]);
  expect(inferred("conv", [of("f32", 1, 1, 5, 5), of("f32", 1, 1, 2, 2)], { auto_pad: "SAME_UPPER", strides: [2, 2] })).toEqual(["f32[1, 1, 3, 3]"]);
  expect(inferred("conv", [of("f32", 1, 1, 5, 5), of("f32", 1, 1, 2, 2)], { auto_pad: "VALID" })).toEqual(["f32[1, 1, 4, 4]"]);
});

it("keeps a symbolic spatial size only where the convolution keeps every size", () => {
  expect(inferred("conv", [of("f32", "N", 3, "H", "W"), of("f32", 8, 3, 3, 3)], { pads: [1, 1, 1, 1] })).toEqual(["f32[N, 8, H, W]"]);
  expect(inferred("conv", [of("f32", "N", 3, "H", "W"), of("f32", 8, 3, 3, 3)])).toEqual(["f32[N, 8, ?, ?]"]);
  expect(inferred("conv", [of("f32", "N", 3, "H", "W"), of("f32", 8, 3, 4, 3)], { auto_pad: "SAME_LOWER" })).toEqual(["f32[N, 8, H, W]"]);
  expect(inferred("conv", [of("f32", "N", 3, "H", "W"), of("f32", 8, 3, 3, 3)], { auto_pad: "SAME_LOWER", strides: [2, 1] })).toEqual([
    "f32[N, 8, ?, W]",
  ]);
  expect(inferred("conv_transpose", [of("f32", "N", 3, "H", 5), of("f32", 3, 4, 2, 2)], { strides: [2, 2], group: 2 })).toEqual(["f32[N, 8, ?, 10]"]);
});

it("drops a ceil_mode window that would start in the end padding", () => {
  // (5 + 2 - 2) / 2 rounds up to 3 windows more; the last of 4 would start at 6 of 5 + 1.
  expect(inferred("max_pool", [of("f32", 1, 1, 5)], { kernel_shape: [2], strides: [2], pads: [1, 1], ceil_mode: 1 })).toEqual(["f32[1, 1, 3]"]);
  expect(inferred("max_pool", [of("f32", 1, 1, 6)], { kernel_shape: [3], strides: [2], ceil_mode: 1 })).toEqual(["f32[1, 1, 3]"]);
  expect(inferred("max_pool", [of("f32", 1, 1, 6)], { kernel_shape: [3], strides: [2] }, 2)).toEqual(["f32[1, 1, 2]", "i64[1, 1, 2]"]);
});

it("multiplies matrices with NumPy's rules for vectors and batches", () => {
  expect(inferred("matmul", [of("f32", "B", 1, 2, 3), of("f32", 4, 3, 5)])).toEqual(["f32[B, 4, 2, 5]"]);
  expect(inferred("matmul", [of("f32", 3), of("f32", 3)])).toEqual(["f32[]"]);
  expect(inferred("matmul", [of("f32", 3), of("f32", 7, 3, 2)])).toEqual(["f32[7, 2]"]);
  expect(inferred("gemm", [of("f32", "K", "M"), of("f32", "N", "K")], { transA: 1, transB: 1 })).toEqual(["f32[M, N]"]);
});

it("reshapes with 0, -1 and symbols", () => {
  expect(inferred("reshape", [of("f32", "N", 3, 4), ints(0, -1)])).toEqual(["f32[N, 12]"]);
  expect(inferred("reshape", [of("f32", "N", 3, 4), ints(-1, 12)])).toEqual(["f32[N, 12]"]);
  expect(inferred("reshape", [of("f32", "N", 3, 4), ints(-1, 6)])).toEqual(["f32[?, 6]"]);
  expect(inferred("reshape", [of("f32", 0, 3), ints(0, 5)], { allowzero: 1 })).toEqual(["f32[0, 5]"]);
  expect(inferred("reshape", [of("f32", "N", 3), of("i64", 3)])).toEqual(["f32[?, ?, ?]"]);
  expect(inferred("reshape", [of("f32", "N", 3), of("i64", "r")])).toEqual(["f32[*]"]);
});

it("slices, splits, pads, tiles and resizes symbols only as far as they are sure", () => {
  expect(inferred("slice", [of("f32", "N", 10), ints(0), ints(2147483647), ints(0)])).toEqual(["f32[N, 10]"]);
  expect(inferred("slice", [of("f32", "N", 10), ints(1), ints(-1), ints(1)])).toEqual(["f32[N, 8]"]);
  expect(inferred("slice", [of("f32", "N", 10), ints(1), ints(5), ints(0)])).toEqual(["f32[?, 10]"]);
  expect(inferred("slice", [of("f32", 10), ints(-1), ints(-100), ints(0), ints(-3)])).toEqual(["f32[4]"]);
  expect(inferred("split", [of("f32", "N", 7)], { axis: 1 }, 3)).toEqual(["f32[N, 3]", "f32[N, 3]", "f32[N, 1]"]);
  expect(inferred("pad", [of("f32", "N", 4), ints(0, 1, 0, 2)])).toEqual(["f32[N, 7]"]);
  expect(inferred("tile", [of("f32", "N", 4), ints(1, 3)])).toEqual(["f32[N, 12]"]);
  expect(inferred("resize", [of("f32", "N", 3, 8, 8), null, t("f32", [4], [1, 1, 2, 0.5])])).toEqual(["f32[N, 3, 16, 4]"]);
  expect(inferred("resize", [of("f32", "N", 3, "H", 8), null, null, ints(1, 3, 5, 6)])).toEqual(["f32[1, 3, 5, 6]"]);
});

it("moves and picks axes", () => {
  expect(inferred("transpose", [of("f32", "N", 3, "H")])).toEqual(["f32[H, 3, N]"]);
  expect(inferred("flatten", [of("f32", "N", 3, 4)])).toEqual(["f32[N, 12]"]);
  expect(inferred("flatten", [of("f32", "N", "C", 4)], { axis: 0 })).toEqual(["f32[1, ?]"]);
  expect(inferred("squeeze", [of("f32", "N", 1, 4), ints(-2)])).toEqual(["f32[N, 4]"]);
  expect(inferred("unsqueeze", [of("f32", "N", 4), ints(0, -1)])).toEqual(["f32[1, N, 4, 1]"]);
  expect(inferred("gather", [of("f32", "V", 16), of("i64", "B", "S")])).toEqual(["f32[B, S, 16]"]);
  expect(inferred("gather_nd", [of("f32", "N", 5, 6), of("i64", "N", 2, 1)], { batch_dims: 1 })).toEqual(["f32[N, 2, 6]"]);
  expect(inferred("one_hot", [of("i64", "N"), scalar("i64", 10), t("f32", [2], [0, 1])], { axis: 0 })).toEqual(["f32[10, N]"]);
  expect(inferred("concat", [of("f32", "N", 3), of("f32", "N", 5)], { axis: -1 })).toEqual(["f32[N, 8]"]);
  expect(inferred("depth_to_space", [of("f32", "N", 8, "H", 3)], { blocksize: 2 })).toEqual(["f32[N, 2, ?, 6]"]);
});

it("reduces with and without kept axes", () => {
  expect(inferred("reduce_mean", [of("f32", "N", 3, 4), ints(-1)])).toEqual(["f32[N, 3, 1]"]);
  expect(inferred("reduce_sum", [of("f32", "N", 3, 4), ints(0, 2)], { keepdims: 0 })).toEqual(["f32[3]"]);
  expect(inferred("reduce_max", [of("f32", "N", 3)], { keepdims: 0 })).toEqual(["f32[]"]);
  expect(inferred("reduce_sum", [of("f32", "N", 3)], { noop_with_empty_axes: 1 })).toEqual(["f32[N, 3]"]);
  expect(inferred("arg_max", [of("f32", "N", 3)], { axis: -1, keepdims: 0 })).toEqual(["i64[N]"]);
  expect(inferred("top_k", [of("f32", "N", 9), ints(5)], {}, 2)).toEqual(["f32[N, 5]", "i64[N, 5]"]);
});

it("types quantized results by constants", () => {
  expect(inferred("quantize_linear", [of("f32", "N", 3), scalar("f32", 0.5), scalar("i8", -3)])).toEqual(["i8[N, 3] q(scale=0.5, zp=-3)"]);
  expect(inferred("quantize_linear", [of("f32", 2), of("f32")])).toEqual(["u8[2]"]);
  expect(inferred("quantize_linear", [of("f32", 4), of("f32", 2)], { block_size: 2, axis: 0, output_dtype: "i4" })).toEqual(["i4[4]"]);
  expect(inferred("dequantize_linear", [of("u4", "N", 3), of("f16", 3), of("u4", 3)])).toEqual(["f16[N, 3]"]);
});

it("types recurrent results in both layouts", () => {
  const operands = [of("f32", "S", "B", 5), of("f32", 2, 12, 5), of("f32", 2, 12, 3)];
  expect(inferred("lstm", operands, { direction: "bidirectional" }, 3)).toEqual(["f32[S, 2, B, 3]", "f32[2, B, 3]", "f32[2, B, 3]"]);
  expect(inferred("rnn", [of("f32", "B", "S", 5), of("f32", 1, 3, 5), of("f32", 1, 3, 3)], { layout: 1, hidden_size: 3 }, 2)).toEqual([
    "f32[B, S, 1, 3]",
    "f32[B, 1, 3]",
  ]);
});

it("infers einsum with ellipsis and implicit output", () => {
  expect(inferred("einsum", [of("f32", "B", 2, 3), of("f32", "B", 3, 4)], { equation: "...ij,...jk->...ik" })).toEqual(["f32[B, 2, 4]"]);
  expect(inferred("einsum", [of("f32", 2, 3), of("f32", 3, 4)], { equation: "ba, ac" })).toEqual(["f32[2, 4]"]);
});

it("places channels last for the engine's kinds", () => {
  expect(inferred("cpu.conv", [of("f32", "N", "H", 8, 3), of("f32", 16, 3, 3, 3)], { pads: [1, 1, 1, 1] })).toEqual(["f32[N, H, 8, 16]"]);
  expect(inferred("cpu.gemm", [of("f32", "N", "S", 4), of("f32", 9, 4)])).toEqual(["f32[N, S, 9]"]);
  expect(inferred("cpu.global_average_pool", [of("u8", "N", 7, 7, 5)], { x_scale: 1, y_scale: 1 })).toEqual(["u8[N, 1, 1, 5]"]);
  expect(inferred("cpu.qgemm", [of("u8", "N", 4), of("i8", 9, 4), null, of("f32", 9)], { x_scale: 1, y_type: "f32" })).toEqual(["f32[N, 9]"]);
});

/** A graph by a short script: each step gives one value. */
function chain(): {
  readonly g: Graph;
  input(shape: readonly (number | string)[]): Value;
  op(kind: string, inputs: Value[], attrs?: Record<string, number | string>): Value;
  c(...v: number[]): Value;
} {
  const g = new Graph("chain");
  return {
    g,
    input: (shape) => g.addInput("x", tensorType("f32", shape)),
    op: (kind, inputs, attrs = {}) => g.addOp({ kind, inputs, attrs, types: [UNKNOWN] }).outputs[0] as Value,
    c: (...v) => g.addConstant("c", tensorType("i64", [v.length]), blobOf(ints(...v))),
  };
}

it("follows a shape subgraph: Shape, Gather, Unsqueeze, Concat, Reshape keep the batch symbol", () => {
  const { g, input, op, c } = chain();
  const x = input(["N", 3, 4, 5]);
  const n = op("unsqueeze", [op("gather", [op("shape", [x]), g.addConstant("i", tensorType("i64", []), blobOf(scalar("i64", 0)))]), c(0)]);
  const target = op("concat", [n, c(-1)], { axis: 0 });
  const y = op("reshape", [x, target]);
  inferGraph(g);
  expect(target.content).toEqual(["N", -1]);
  expect(formatType(y.type)).toBe("f32[N, 60]");
});

it("computes on known sizes and leaves the rest unknown", () => {
  const { g, input, op, c } = chain();
  const x = input(["N", 3, 4, 5]);
  const s = op("shape", [x]);
  const doubled = op("mul", [op("slice", [s, c(2), c(4)]), c(2)]);
  const same = op("div", [op("add", [s, c(0)]), c(1)]);
  const picked = op("where", [op("equal", [s, c(-1)]), c(9), s]);
  const elements = op("reduce_prod", [s], { keepdims: 0 });
  const half = op("cast", [op("cast", [op("sub", [s, c(1)])], { to: "i32" })], { to: "i64" });
  const grid = op("constant_of_shape", [doubled]);
  const filled = op("expand", [op("unsqueeze", [op("size", [x]), c(0)]), c(3)]);
  inferGraph(g);
  expect(doubled.content).toEqual([8, 10]);
  expect(same.content).toEqual(["N", 3, 4, 5]);
  expect(picked.content).toEqual(["N", 3, 4, 5]);
  expect(elements.content).toEqual(["?"]);
  expect(half.content).toEqual(["?", 2, 3, 4]);
  expect(formatType(grid.type)).toBe("f32[8, 10]");
  expect(filled.content).toEqual(["?", "?", "?"]);
});

it("joins the branches of if, and stacks the scanned results of loop and scan", () => {
  const body = (shape: readonly (number | string)[]): Graph => {
    const r = new Graph("branch");
    const v = r.addInput("captured", UNKNOWN);
    r.addOutput(
      "y",
      r.addOp({
        kind: "reshape",
        inputs: [v, r.addConstant("s", tensorType("i64", [shape.length]), blobOf(ints(...(shape as number[]))))],
        types: [UNKNOWN],
      }).outputs[0] as Value,
    );
    return r;
  };
  const g = new Graph("g");
  const condition = g.addInput("c", tensorType("bool", []));
  const x = g.addInput("x", tensorType("f32", ["N", 6]));
  const y = g.addOp({
    kind: "if",
    inputs: [condition, x, x],
    attrs: { captures: 2, then_captures: 1 },
    regions: [body([-1, 2, 3]), body([-1, 3, 3])],
    types: [UNKNOWN],
  }).outputs[0];

  const step = new Graph("step");
  step.addInput("i", tensorType("i64", []));
  const go = step.addInput("go", tensorType("bool", []));
  const state = step.addInput("s", tensorType("f32", [4]));
  step.addOutput("go", go);
  step.addOutput("s", state);
  step.addOutput("row", state);
  const initial = g.addInput("s", tensorType("f32", [4]));
  const looped = g.addOp({ kind: "loop", inputs: [null, condition, initial], regions: [step], types: [UNKNOWN, UNKNOWN] });

  const cell = new Graph("cell");
  const carried = cell.addInput("h", tensorType("f32", [4]));
  const slice = cell.addInput("x", tensorType("f32", [4]));
  const sum = cell.addOp({ kind: "add", inputs: [carried, slice], types: [UNKNOWN] }).outputs[0] as Value;
  cell.addOutput("h", sum);
  cell.addOutput("y", sum);
  const sequence = g.addInput("seq", tensorType("f32", ["T", 4]));
  const scanned = g.addOp({
    kind: "scan",
    inputs: [initial, sequence],
    attrs: { num_scan_inputs: 1, scan_output_axes: [1] },
    regions: [cell],
    types: [UNKNOWN, UNKNOWN],
  });
  inferGraph(g);
  expect(formatType(y?.type ?? UNKNOWN)).toBe("f32[?, ?, 3]");
  expect(looped.outputs.map((v) => formatType(v.type))).toEqual(["f32[4]", "f32[?, 4]"]);
  expect(scanned.outputs.map((v) => formatType(v.type))).toEqual(["f32[4]", "f32[4, T]"]);
});

it("leaves the types of carried ops to the file", () => {
  const g = new Graph("g");
  const op = g.addOp({ kind: "carry", inputs: [], types: [tensorType("f32", ["N"])], attrs: { domain: "d", op_type: "T" } });
  inferGraph(g);
  expect(formatType(op.outputs[0]?.type ?? UNKNOWN)).toBe("f32[N]");
});

it("refuses results that no memory holds", () => {
  expect(() => build({ kind: "tile", operands: [of("f32", 2 ** 30, 2 ** 20), ints(8, 8)] })).toThrow(/CEC4001.*elements/);
  expect(() => build({ kind: "pad", operands: [of("f32", 3), ints(-2, -2)] })).toThrow(/dimension would be -1/);
});
