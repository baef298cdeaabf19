import { z } from "zod";
import { constantTensor, definePass, f32, type Op, type Tensor, tensor, toNumbers, type Value } from "../../compiler/core/index.js";
import { matcher } from "./options.js";
import { warnOfQuantized } from "./rules.js";
import { quantizeWeights, weightScales } from "./weights.js";

const finite = (t: Tensor): boolean => t.data.length > 0 && toNumbers(t).every(Number.isFinite);

/** Operands that hold weights, with the axis of one scale each: output channels, or rows of a table. */
function weightOperands(op: Op): readonly { readonly index: number; readonly axis: (rank: number) => number | null }[] {
  const fixed = (index: number, axis: number | null) => ({ index, axis: () => axis });
  switch (op.kind) {
    case "conv":
      return [fixed(1, 0)];
    case "conv_transpose":
      // In groups, output channels are spread over both first axes: one scale for all.
      return [fixed(1, (op.attrs["group"] ?? 1) === 1 ? 1 : null)];
    case "gemm":
      return [fixed(1, op.attrs["transB"] === 1 ? 0 : 1)];
    case "matmul":
      return [{ index: 1, axis: (rank) => rank - 1 }];
    case "lstm":
    case "gru":
    case "rnn":
      // [directions, gates * hidden, …]
      return [fixed(1, 1), fixed(2, 1)];
    case "gather":
      return op.attrs["axis"] === undefined || op.attrs["axis"] === 0 ? [fixed(0, 0)] : [];
    default:
      return [];
  }
}

const floatReasons: Readonly<Record<string, string>> = {
  conv: "weights i8; the convolution runs in float, since its activations were not calibrated",
  conv_transpose: "weights i8; the convolution runs in float, since its activations were not calibrated",
  lstm: "weights i8; the recurrence runs in float",
  gru: "weights i8; the recurrence runs in float",
  rnn: "weights i8; the recurrence runs in float",
  gather: "the table is stored in i8, rows are float when they are read",
};

/**
 * INT8 without calibration. Matrix products with constant weights run on integers with the range of each input taken at run time (DynamicQuantizeLinear,
 * MatMulInteger); convolutions, recurrent ops and embedding tables keep float arithmetic over weights stored in i8: integer convolution with run-time ranges is
 * slower than float on CPUs, and ONNX has no integer form of the others that all runtimes know. Every other op with large float constants is in the decision log.
 */
export const quantizeDynamic = definePass({
  name: "quantize-dynamic",
  summary: "Store weights as i8; matrix products on integers with run-time ranges",
  from: "float",
  to: "quantized",
  keeps: "lossy",
  options: z
    .object({
      weights: z.enum(["per_channel", "per_tensor"]).default("per_channel").describe("one scale per output channel, or one per tensor"),
      matmul: z.boolean().default(true).describe("run matrix products on integers; false stores their weights only"),
      keep: z.array(z.string()).default([]).describe("names or patterns of ops that stay in float"),
      minElements: z.number().int().min(1).default(256).describe("smaller weights are not worth a scale"),
    })
    .strict(),
  statistics: { dynamic: "matrix products on integers", stored: "weights stored as i8, arithmetic in float" },
  run({ graph, options: o, rewrite, count, decide, warn }) {
    warnOfQuantized(graph, warn);
    const kept = matcher(o.keep);
    const nameOf = (op: Op): boolean => [op.name, ...op.outputs.map((v) => v.name)].some((n) => n !== "" && kept(n));
    for (const op of [...graph.ops]) {
      if (op.kind === "constant") continue;
      const operands = weightOperands(op).filter(({ index }) => op.inputs[index] != null);
      if (operands.length === 0) {
        const large = op.inputs.map(constantTensor).find((t) => t?.type === "f32" && t.data.length >= o.minElements);
        if (large != null) decide(op, "float", `no rule stores the constants of ${op.kind} in 8 bits`, large.data.length);
        continue;
      }
      const reasons = operands.map(({ index }) => whyFloat(op, constantTensor(op.inputs[index])));
      const reason = nameOf(op) ? "the plan keeps it in float" : reasons.find((r) => r !== null);
      if (reason != null) {
        // Tables that are looked up in computed or integer values are no weights: nothing to say.
        if (op.kind !== "gather" || constantTensor(op.inputs[0])?.type === "f32") decide(op, "float", reason);
        continue;
      }
      const w = constantTensor(op.inputs[1]) as Tensor;
      const matrix =
        (op.kind === "gemm" || op.kind === "matmul") &&
        w.dims.length === 2 &&
        op.attrs["transA"] !== 1 &&
        (op.attrs["alpha"] ?? 1) === 1 &&
        (op.attrs["beta"] ?? 1) === 1;
      if (o.matmul && matrix) {
        integerProduct(op, op.inputs[1] as Value, w);
        count("dynamic");
        decide(op, "dynamic int8", "weights i8, the range of the activation is taken at run time");
      } else {
        for (const { index, axis } of operands) {
          const t = constantTensor(op.inputs[index]) as Tensor;
          storedWeights(op, index, t, o.weights === "per_tensor" ? null : axis(t.dims.length));
        }
        count("stored");
        decide(op, "weights only", floatReasons[op.kind] ?? "weights i8, arithmetic in float");
      }
    }

    function whyFloat(op: Op, w: Tensor | null): string | null {
      const what = op.kind === "gather" ? "its table is" : op.kind === "matmul" ? "its second operand is" : "its weights are";
      if (w === null || w.type !== "f32") return `${what} no f32 constant`;
      if (w.data.length < o.minElements) return `its weights have only ${w.data.length} elements`;
      return finite(w) ? null : "its weights hold NaN or infinity";
    }

    function storedWeights(op: Op, index: number, w: Tensor, axis: number | null): void {
      const wv = op.inputs[index] as Value;
      const scale = weightScales(w, axis);
      rewrite.patch(op, "weights stored as i8", (edit) => {
        const q = edit.constant(`${wv.name}.q`, quantizeWeights(w, scale, axis));
        const s = edit.constant(`${wv.name}.s`, f32(axis === null ? [] : [scale.length], scale));
        const zero = edit.constant(
          `${wv.name}.z`,
          tensor(
            "i8",
            axis === null ? [] : [scale.length],
            scale.map(() => 0),
          ),
        );
        const dq = edit.insert("dequantize_linear", [q, s, zero], { attrs: axis === null ? {} : { axis }, outputNames: [`${wv.name}.dq`] });
        edit.setInput(op, index, dq.outputs[0] as Value);
        if (wv.producer !== null) edit.eraseDead(wv.producer);
      });
    }

    function integerProduct(op: Op, wv: Value, w: Tensor): void {
      // MatMulInteger takes [K, N]: a transposed gemm weight is stored in that order.
      const [rows, columns] = w.dims as [number, number];
      const v = toNumbers(w);
      const kn =
        op.attrs["transB"] === 1
          ? f32(
              [columns, rows],
              Float64Array.from({ length: v.length }, (_, i) => v[(i % rows) * columns + Math.floor(i / rows)] as number),
            )
          : w;
      const axis = o.weights === "per_tensor" ? null : 1;
      const scale = weightScales(kn, axis);
      const name = op.name || op.outputs[0]?.name || op.kind;
      rewrite.patch(op, "integer product with run-time range", (edit) => {
        const [xq, xs, xz] = edit.insert("dynamic_quantize_linear", [op.inputs[0] ?? null], { outputs: 3, name: `${name}.quantize` }).outputs as [
          Value,
          Value,
          Value,
        ];
        const q = edit.constant(`${wv.name}.q`, quantizeWeights(kn, scale, axis));
        const sums = edit.insert("matmul_integer", [xq, q, xz], { name }).outputs[0] as Value;
        const real = edit.insert("cast", [sums], { attrs: { to: "f32" }, name: `${name}.cast` }).outputs[0] as Value;
        const step = edit.insert("mul", [xs, edit.constant(`${wv.name}.s`, f32(axis === null ? [] : [scale.length], scale))], {
          name: `${name}.step`,
        }).outputs[0] as Value;
        let y = edit.insert("mul", [real, step], { name: `${name}.scale` }).outputs[0] as Value;
        const { activation, clip_min, clip_max } = op.attrs;
        const fused = Object.fromEntries(Object.entries({ activation, clip_min, clip_max }).filter(([, e]) => e !== undefined)) as Op["attrs"];
        if (op.inputs[2] != null) y = edit.insert("add", [y, op.inputs[2]], { attrs: fused, name: `${name}.bias` }).outputs[0] as Value;
        else if (activation === "relu") y = edit.insert("relu", [y], { name: `${name}.relu` }).outputs[0] as Value;
        else if (activation === "clip") {
          const bound = (b: unknown, n: string): Value | null => (typeof b === "number" ? edit.constant(`${name}.${n}`, f32([], [b])) : null);
          y = edit.insert("clip", [y, bound(clip_min, "min"), bound(clip_max, "max")], { name: `${name}.clip` }).outputs[0] as Value;
        }
        edit.replaceAllUses(op.outputs[0] as Value, y);
        edit.eraseDead(op);
      });
    }
  },
});
