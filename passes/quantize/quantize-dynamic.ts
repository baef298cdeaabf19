import { z } from "zod";
import { constantTensor, definePass, f32, type Op, type Tensor, tensor, toNumbers, type Value } from "../../compiler/core/index.js";
import { matcher } from "./options.js";
import { quantizeWeights, weightScales } from "./weights.js";

const finite = (t: Tensor): boolean => t.data.length > 0 && toNumbers(t).every(Number.isFinite);

/**
 * INT8 without calibration. Matrix products with constant weights run on integers with the range of each input taken at run time (DynamicQuantizeLinear,
 * MatMulInteger); convolutions keep float arithmetic over weights stored in i8, since integer convolution with run-time ranges is slower than float on CPUs.
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
  run({ graph, options: o, rewrite, count, decide }) {
    const kept = matcher(o.keep);
    for (const op of graph.opsOf("conv", "conv_transpose", "gemm", "matmul")) {
      const w = constantTensor(op.inputs[1]);
      const wv = op.inputs[1] as Value;
      const reason = [op.name, ...op.outputs.map((v) => v.name)].some((n) => n !== "" && kept(n))
        ? "the plan keeps it in float"
        : w === null || w.type !== "f32"
          ? "its second operand is no f32 constant"
          : w.data.length < o.minElements
            ? `its weights have only ${w.data.length} elements`
            : !finite(w)
              ? "its weights hold NaN or infinity"
              : null;
      if (reason !== null || w === null) {
        decide(op, "float", reason ?? "");
        continue;
      }
      const matrix =
        (op.kind === "gemm" || op.kind === "matmul") &&
        w.dims.length === 2 &&
        op.attrs["transA"] !== 1 &&
        (op.attrs["alpha"] ?? 1) === 1 &&
        (op.attrs["beta"] ?? 1) === 1;
      if (o.matmul && matrix) {
        integerProduct(op, wv, w);
        count("dynamic");
        decide(op, "dynamic int8", "weights i8, the range of the activation is taken at run time");
      } else {
        storedWeights(op, wv, w);
        count("stored");
        decide(
          op,
          "weights only",
          op.kind.startsWith("conv")
            ? "weights i8; the convolution runs in float, since its activations were not calibrated"
            : "weights i8, arithmetic in float",
        );
      }
    }

    function storedWeights(op: Op, wv: Value, w: Tensor): void {
      const rows = op.kind === "conv" || (op.kind === "gemm" && op.attrs["transB"] === 1);
      const axis =
        o.weights === "per_tensor" || (op.kind === "conv_transpose" && (op.attrs["group"] ?? 1) !== 1)
          ? null
          : rows
            ? 0
            : op.kind === "conv_transpose"
              ? 1
              : w.dims.length - 1;
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
        edit.setInput(op, 1, dq.outputs[0] as Value);
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
