import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  f32,
  fromNumbers,
  integerRange,
  num,
  nums,
  type Op,
  opDefinition,
  roundHalfEven,
  type Tensor,
  tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { fusedAttrs } from "./fused-attrs.js";
import { channelsFirst, channelsLast, transposed } from "./layout.js";
import { dequantized, integerBias, type Quantized, quantizedBy, quantizedWeights, sameParams } from "./qdq.js";
import { windowAttrs } from "./window-attrs.js";

/** Ops that only move elements: run on the stored integers when input and output share parameters. */
const moves: ReadonlySet<string> = new Set([
  "reshape",
  "flatten",
  "squeeze",
  "unsqueeze",
  "transpose",
  "slice",
  "expand",
  "tile",
  "gather",
  "depth_to_space",
  "space_to_depth",
  "identity",
]);
/** Unary functions that become a table of 256 entries. */
const tables: ReadonlySet<string> = new Set([
  "sigmoid",
  "tanh",
  "hard_sigmoid",
  "hard_swish",
  "leaky_relu",
  "elu",
  "gelu",
  "exp",
  "sqrt",
  "abs",
  "neg",
  "softplus",
  "mish",
  "erf",
]);

/** Integer limits of the result: of a fused activation in its steps, within those of its bits. */
function limits(op: Op, y: Quantized): { readonly q_min: number; readonly q_max: number } {
  const [low, high] = y.limits ?? integerRange(y.type);
  const at = (v: number): number => Math.min(high, Math.max(low, roundHalfEven(Math.fround(Math.fround(v) / Math.fround(y.scale))) + y.zeroPoint));
  const { activation } = op.attrs;
  if (activation === "relu") return { q_min: at(0), q_max: high };
  if (activation === "clip") {
    const [a, b] = [num(op, "clip_min", Number.NEGATIVE_INFINITY), num(op, "clip_max", Number.POSITIVE_INFINITY)];
    return { q_min: Number.isFinite(a) ? at(a) : low, q_max: Number.isFinite(b) ? at(b) : high };
  }
  return { q_min: low, q_max: high };
}

const resultAttrs = (y: Quantized): Record<string, number | string> => ({ y_scale: y.scale, y_zp: y.zeroPoint, y_type: y.type });
const requantAttrs = (x: Quantized, y: Quantized): Record<string, number | string> => ({ x_scale: x.scale, x_zp: x.zeroPoint, ...resultAttrs(y) });

/**
 * Turns quantize/dequantize patterns into integer ops of the engine, exact by the specification in `runtime-native/src/kernels/README.md`: convolutions and
 * matrix products, adds, products, pools, concatenation, data movement, and tables for unary functions. What matches no pattern stays in float between its
 * dequantize and quantize ops. The first lowering pass: it gives level `lowered`.
 */
export const lowerQdq = definePass({
  name: "lower-qdq",
  summary: "Turn QDQ patterns into integer ops",
  from: ["float", "annotated", "quantized"],
  to: "lowered",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { integer: "ops on integers", float: "quantized patterns left in float" },
  run({ graph, rewrite, count, decide }) {
    for (const op of [...graph.ops]) {
      if (!graph.ops.includes(op)) continue;
      const done = lowerOne(op);
      if (done === true) count("integer");
      else if (typeof done === "string") {
        count("float");
        decide(op, "float", done);
      }
    }

    /** True: rewritten; false: no quantized pattern; text: a pattern that the engine cannot run on integers. */
    function lowerOne(op: Op): boolean | string {
      switch (op.kind) {
        case "conv":
          return product(op, lowerConv);
        case "gemm":
        case "matmul":
          return product(op, lowerGemm);
        case "add":
        case "mul":
          return binary(op);
        case "concat":
          return concat(op);
        case "max_pool":
        case "global_max_pool":
        case "average_pool":
        case "global_average_pool":
          return pool(op);
        case "relu":
        case "clip":
        case "quantize_linear":
          return clamp(op);
        case "pad":
          return pad(op);
        default:
          if (moves.has(op.kind) || (op.kind === "resize" && (op.attrs["mode"] ?? "nearest") === "nearest")) return move(op);
          return tables.has(op.kind) ? table(op) : false;
      }
    }

    /** Replaces `op` and the quantization behind it. */
    function replaceQuantized(op: Op, y: { readonly op: Op; readonly value: Value }, reason: string, make: (edit: Edit) => Value): true {
      rewrite.patch(y.op, reason, (edit) => {
        const result = make(edit);
        edit.replaceAllUses(y.value, result);
        edit.eraseDead(y.op);
        edit.eraseDead(op);
      });
      return true;
    }

    type Product = (op: Op, x: Quantized, y: ReturnType<typeof quantizedBy>) => boolean | string;
    function product(op: Op, lower: Product): boolean | string {
      const x = dequantized(op.inputs[0]);
      if (x === null || quantizedWeights(op.inputs[1]) === null) return false;
      if (op.inputs[3] != null) return "it has a residual operand";
      return lower(op, x, quantizedBy(graph, op.outputs[0], true));
    }

    /** Shared end of products: integer attributes with a quantized result, or f32 with the activation in float. */
    function finish(op: Op, y: ReturnType<typeof quantizedBy>): Record<string, number | string> {
      return y === null ? { y_type: "f32", ...fusedAttrs(op) } : { ...resultAttrs(y), ...limits(op, y) };
    }

    function emit(op: Op, y: ReturnType<typeof quantizedBy>, make: (edit: Edit) => Value): true {
      if (y !== null) return replaceQuantized(op, y, `${op.kind} "${op.name}" on integers`, make);
      rewrite.patch(op, `${op.kind} "${op.name}" on integers, result in float`, (edit) => {
        edit.replaceAllUses(op.outputs[0] as Value, make(edit));
        edit.eraseDead(op);
      });
      return true;
    }

    function lowerConv(op: Op, x: Quantized, y: ReturnType<typeof quantizedBy>): boolean | string {
      const w = quantizedWeights(op.inputs[1]);
      if (w === null) return false;
      if (w.axis !== null && w.axis !== 0) return `its weights are quantized along axis ${w.axis}`;
      const spatial = op.inputs[0]?.type.kind === "tensor" ? (op.inputs[0].type.shape?.slice(2) ?? null) : null;
      const window = spatial === null ? "the shape of its input is not known" : windowAttrs(op, spatial, w.data.dims.slice(2));
      if (typeof window === "string") return window;
      const bias = integerBias(op.inputs[2], x.scale, w.scale);
      if (bias === null) return "its bias is computed";
      if (bias === "overflow") return "its bias does not fit 32 bits at the scales of input and weights";
      const oneD = w.data.dims.length === 3;
      const data = oneD ? { ...w.data, dims: [w.data.dims[0], w.data.dims[1], 1, w.data.dims[2]] as number[] } : w.data;
      return emit(op, y, (edit) => {
        const name = op.name || op.outputs[0]?.name || "conv";
        const input = oneD
          ? (edit.insert("unsqueeze", [x.value, edit.constant(`${name}.axis`, tensor("i64", [1], [2]))]).outputs[0] as Value)
          : x.value;
        const conv = edit.insert(
          "cpu.qconv",
          [
            channelsLast(edit, input),
            edit.constant(`${name}.w`, transposed(data, [0, 2, 3, 1])),
            bias === "none" ? null : edit.constant(`${name}.b`, bias),
            edit.constant(`${name}.scale`, f32([w.scale.length], w.scale)),
          ],
          { attrs: { ...window, group: num(op, "group", 1), x_scale: x.scale, x_zp: x.zeroPoint, ...finish(op, y) }, name: op.name },
        );
        const out = channelsFirst(edit, conv.outputs[0] as Value);
        return oneD ? (edit.insert("squeeze", [out, edit.constant(`${name}.axis`, tensor("i64", [1], [2]))]).outputs[0] as Value) : out;
      });
    }

    function lowerGemm(op: Op, x: Quantized, y: ReturnType<typeof quantizedBy>): boolean | string {
      const w = quantizedWeights(op.inputs[1]);
      if (w === null || w.data.dims.length !== 2) return "its weights are no matrix";
      const rank = op.inputs[0]?.type.kind === "tensor" ? op.inputs[0].type.shape?.length : undefined;
      if (rank === undefined || rank < 2) return "the rank of its input is not known, or 1";
      const rows = op.kind === "gemm" && num(op, "transB", 0) === 1;
      if (num(op, "transA", 0) === 1 || num(op, "alpha", 1) !== 1 || num(op, "beta", 1) !== 1) return "it transposes or scales its operands";
      if (w.axis !== null && w.axis !== (rows ? 0 : 1)) return `its weights are quantized along axis ${w.axis}`;
      const bias = integerBias(op.inputs[2], x.scale, w.scale);
      if (bias === null) return "its bias is computed";
      if (bias === "overflow") return "its bias does not fit 32 bits at the scales of input and weights";
      const features = w.data.dims[rows ? 0 : 1] as number;
      if (bias !== "none" && bias.data.length !== features) return "its bias is no row";
      return emit(op, y, (edit) => {
        const name = op.name || op.outputs[0]?.name || "gemm";
        const gemm = edit.insert(
          "cpu.qgemm",
          [
            x.value,
            edit.constant(`${name}.w`, rows ? w.data : transposed(w.data, [1, 0])),
            bias === "none" ? null : edit.constant(`${name}.b`, bias),
            edit.constant(`${name}.scale`, f32([w.scale.length], w.scale)),
          ],
          { attrs: { x_scale: x.scale, x_zp: x.zeroPoint, ...finish(op, y) }, name: op.name },
        );
        return gemm.outputs[0] as Value;
      });
    }

    function binary(op: Op): boolean | string {
      const [a, b] = op.inputs.map((v) => dequantized(v));
      const y = quantizedBy(graph, op.outputs[0], true);
      if (a == null || b == null || y === null) return false;
      return replaceQuantized(op, y, `${op.kind} "${op.name}" on integers`, (edit) => {
        const attrs = { a_scale: a.scale, a_zp: a.zeroPoint, b_scale: b.scale, b_zp: b.zeroPoint, ...resultAttrs(y), ...limits(op, y) };
        return edit.insert(op.kind === "add" ? "cpu.qadd" : "cpu.qmul", [a.value, b.value], { attrs, name: op.name }).outputs[0] as Value;
      });
    }

    /** The stored value in the parameters of `y`. */
    function aligned(edit: Edit, x: Quantized, y: Quantized, name: string): Value {
      return sameParams(x, y) ? x.value : (edit.insert("cpu.requantize", [x.value], { attrs: requantAttrs(x, y), name }).outputs[0] as Value);
    }

    function concat(op: Op): boolean {
      const inputs = op.inputs.map((v) => dequantized(v));
      const y = quantizedBy(graph, op.outputs[0]);
      if (y === null || inputs.some((x) => x === null)) return false;
      return replaceQuantized(
        op,
        y,
        `concat "${op.name}" on integers`,
        (edit) =>
          edit.insert(
            "concat",
            inputs.map((x, i) => aligned(edit, x as Quantized, y, `${op.name}.${i}`)),
            { attrs: op.attrs, name: op.name },
          ).outputs[0] as Value,
      );
    }

    function pool(op: Op): boolean | string {
      const x = dequantized(op.inputs[0]);
      const y = quantizedBy(graph, op.outputs[0]);
      if (x === null || y === null || op.outputs.length > 1) return false;
      const shape = op.inputs[0]?.type.kind === "tensor" ? op.inputs[0].type.shape : null;
      if (shape?.length !== 4) return "it is not 2-D";
      const global = op.kind.startsWith("global");
      const window = global ? {} : windowAttrs(op, shape.slice(2), nums(op, "kernel_shape"));
      if (typeof window === "string") return window;
      const extra = global
        ? {}
        : {
            ...window,
            kernel_shape: nums(op, "kernel_shape"),
            ...Object.fromEntries(Object.entries(op.attrs).filter(([k]) => k === "ceil_mode" || k === "count_include_pad")),
          };
      const average = op.kind.includes("average");
      if (average && x.type !== y.type) return "input and output have different types";
      return replaceQuantized(op, y, `${op.kind} "${op.name}" on integers`, (edit) => {
        const from = average ? x.value : aligned(edit, x, y, `${op.name}.in`);
        const q = average ? { x_scale: x.scale, x_zp: x.zeroPoint, y_scale: y.scale, y_zp: y.zeroPoint } : {};
        const pooled = edit.insert(`cpu.${op.kind}`, [channelsLast(edit, from)], { attrs: { ...extra, ...q }, name: op.name });
        return channelsFirst(edit, pooled.outputs[0] as Value);
      });
    }

    /** Relu, Clip, or nothing between dequantize and quantize: at most a requantization with limits. */
    function clamp(op: Op): boolean {
      const x = dequantized(op.inputs[0]);
      if (x === null) return false;
      const y = op.kind === "quantize_linear" ? pairOf(op) : quantizedBy(graph, op.outputs[0], true);
      if (y === null) return false;
      const bounds = boundsOf(op);
      if (bounds === null) return false;
      const range = limits({ ...op, attrs: bounds } as Op, y);
      const [low, high] = integerRange(y.type);
      const nothing = sameParams(x, y) && range.q_min <= low && range.q_max >= high;
      if (nothing && graph.isOutput(y.value) && x.value.producer === null) return false;
      return replaceQuantized(op, y, nothing ? "quantizes what it dequantizes" : "requantization", (edit) =>
        nothing
          ? x.value
          : (edit.insert("cpu.requantize", [x.value], { attrs: { ...requantAttrs(x, y), ...range }, name: op.name }).outputs[0] as Value),
      );
    }

    function pad(op: Op): boolean {
      const x = dequantized(op.inputs[0]);
      const y = quantizedBy(graph, op.outputs[0]);
      if (x === null || y === null) return false;
      const constant = (op.attrs["mode"] ?? "constant") === "constant";
      const value = op.inputs[2] == null ? 0 : scalar(op.inputs[2]);
      if (constant && value === null) return false;
      return replaceQuantized(op, y, `pad "${op.name}" on integers`, (edit) => {
        const from = aligned(edit, x, y, `${op.name}.in`);
        const [low, high] = integerRange(y.type);
        const stored = Math.min(high, Math.max(low, roundHalfEven(Math.fround((value ?? 0) / y.scale)) + y.zeroPoint));
        const fill = constant ? edit.constant(`${op.name || "pad"}.value`, fromNumbers(y.type, [], [stored])) : null;
        return edit.insert("pad", [from, op.inputs[1] ?? null, fill, op.inputs[3] ?? null], { attrs: op.attrs, name: op.name }).outputs[0] as Value;
      });
    }

    function move(op: Op): boolean {
      const x = dequantized(op.inputs[0]);
      const y = quantizedBy(graph, op.outputs[0]);
      if (x === null || y === null || op.outputs.length > 1) return false;
      return replaceQuantized(
        op,
        y,
        `${op.kind} "${op.name}" on integers`,
        (edit) =>
          edit.insert(op.kind, [aligned(edit, x, y, `${op.name}.in`), ...op.inputs.slice(1)], { attrs: op.attrs, name: op.name }).outputs[0] as Value,
      );
    }

    function table(op: Op): boolean {
      const x = dequantized(op.inputs[0]);
      const y = quantizedBy(graph, op.outputs[0]);
      const evaluate = opDefinition(op.kind)?.evaluate;
      if (x === null || y === null || evaluate === undefined) return false;
      const stored = Array.from({ length: 256 }, (_, i) => (x.type === "i8" && i > 127 ? i - 256 : i));
      const real = f32(
        [256],
        stored.map((q) => Math.fround(Math.fround(q - x.zeroPoint) * Math.fround(x.scale))),
      );
      const out = toNumbers(evaluate(op, [real, ...op.inputs.slice(1).map((v) => constantTensor(v))])[0] as Tensor);
      const [low, high] = integerRange(y.type);
      const entries = Array.from(out, (v) =>
        Number.isNaN(v)
          ? y.zeroPoint
          : Math.min(high, Math.max(low, roundHalfEven(Math.fround(Math.fround(v) / Math.fround(y.scale))) + y.zeroPoint)),
      );
      return replaceQuantized(
        op,
        y,
        `${op.kind} "${op.name}" as a table`,
        (edit) =>
          edit.insert("cpu.lut", [x.value, edit.constant(`${op.name || op.kind}.table`, fromNumbers(y.type, [256], entries))], { name: op.name })
            .outputs[0] as Value,
      );
    }

    function pairOf(op: Op): (Quantized & { readonly op: Op }) | null {
      const value = op.outputs[0] as Value;
      const type = value.type.kind === "tensor" ? value.type.elem : "f32";
      const scale = scalar(op.inputs[1]);
      const zeroPoint = op.inputs[2] == null ? 0 : scalar(op.inputs[2]);
      return (type === "u8" || type === "i8") && scale !== null && zeroPoint !== null ? { op, value, type, scale, zeroPoint } : null;
    }
  },
});

const scalar = (v: Value | null | undefined): number | null => {
  const t = constantTensor(v);
  return t === null || t.data.length !== 1 ? null : (toNumbers(t)[0] as number);
};

/** A stand-alone Relu or Clip as activation attributes. */
function boundsOf(op: Op): Record<string, number | string> | null {
  if (op.kind === "quantize_linear") return {};
  if (op.kind === "relu") return { activation: "relu" };
  const [low, high] = [op.inputs[1] == null ? null : scalar(op.inputs[1]), op.inputs[2] == null ? null : scalar(op.inputs[2])];
  if ((op.inputs[1] != null && low === null) || (op.inputs[2] != null && high === null)) return null;
  return { activation: "clip", ...(low === null ? {} : { clip_min: low }), ...(high === null ? {} : { clip_max: high }) };
}
