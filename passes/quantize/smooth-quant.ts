import { z } from "zod";
import { constantTensor, definePass, f32, num, type Op, toNumbers, type Value } from "../../compiler/core/index.js";
import { type Product, productOf } from "./channels.js";
import { batchFor } from "./observe.js";

/** Channels below this are never on: they stay as they are. */
const LEAST = 1e-5;

/**
 * SmoothQuant (Xiao et al. 2022): activations of transformers have few channels of large values, which one scale per tensor serves badly. Channel j between a
 * LayerNormalization and the products that read it is divided by s_j = max|x_j|^strength / max|w_j|^(1 - strength); scale and bias of the normalization take the division,
 * the weights of those readers the product. Where others read the normalized value too (the residual of a BERT layer), they keep it: the products get a normalization of
 * their own beside it.
 */
export const smoothQuant = definePass({
  name: "smooth-quant",
  summary: "Move outliers of activations into weights, through LayerNorm",
  description:
    'Xiao et al. 2022, "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models". Stands before `quantize`; needs calibration data.',
  from: "float",
  to: "same",
  keeps: "values",
  options: z
    .object({
      strength: z.number().min(0).max(1).default(0.5).describe("share of the difficulty that moves to the weights (the paper's alpha)"),
      samples: z.number().int().min(1).default(64).describe("calibration samples, at most"),
    })
    .strict(),
  statistics: { norms: "normalizations whose result was smoothed", channels: "channels scaled" },
  async run({ graph, options: o, rewrite, count, decide, warn, executor, calibration }) {
    const nothing = (why: string): void => warn("CEC4030", `smooth_quant smooths nothing: ${why}`);
    if (executor === null || calibration === null) return nothing("it needs calibration data; add `calibrate` to the plan");
    const sites = graph.opsOf("layer_normalization").flatMap((op) => {
      const products = readersOf(op);
      const y = op.outputs[0] as Value;
      return products.length === 0 ? [] : [{ op, products, shared: graph.isOutput(y) || products.length < graph.users(y).length }];
    });
    if (sites.length === 0)
      return nothing(
        graph.opsOf("layer_normalization").length > 0
          ? "no LayerNorm is read by a MatMul or Gemm with constant weights"
          : "the graph has no LayerNorm; where it is written in single ops, put smooth_quant after fuse",
      );
    const names = sites.map((s) => (s.op.outputs[0] as Value).name);
    const limit = Math.min(o.samples, calibration.size);
    const seen = await executor.observe(graph, names, calibration.batches({ batch: batchFor(graph), limit }), { bins: 0, channels: true });
    for (const { op, products, shared } of sites) {
      const s = seen.get((op.outputs[0] as Value).name)?.channels;
      const gain = constantTensor(op.inputs[1]);
      if (s === undefined || gain === null || gain.data.length !== s.max.length) continue;
      const tops = new Float64Array(gain.data.length);
      for (const p of products) eachWeight(p, (w, i) => (tops[i] = Math.max(tops[i] as number, Math.abs(w))));
      const scale = Array.from(tops, (top, j) => {
        const x = Math.max(Math.abs(s.min[j] as number), Math.abs(s.max[j] as number));
        return x < LEAST || top < LEAST ? 1 : x ** o.strength / top ** (1 - o.strength);
      });
      rewrite.patch(op, "outliers moved into the weights behind", (edit) => {
        const smoothed = [1, 2].map((index) => {
          const t = constantTensor(op.inputs[index] ?? null);
          if (t === null) return null;
          const values = Array.from(toNumbers(t), (v, j) => v / (scale[j] as number));
          return edit.constant((op.inputs[index] as Value).name, f32(t.dims, values));
        });
        if (shared) {
          const y = edit.insert(op.kind, [op.inputs[0] ?? null, ...smoothed], { attrs: op.attrs, name: `${op.name}.smoothed` }).outputs[0] as Value;
          for (const p of products) edit.setInput(p.op, 0, y);
        } else
          smoothed.forEach((v, i) => {
            if (v !== null) edit.setInput(op, i + 1, v);
          });
        for (const p of products) {
          const w = constantTensor(p.op.inputs[1]);
          if (w === null) continue;
          const values = Array.from(toNumbers(w));
          eachWeight(p, (e, i, at) => (values[at] = e * (scale[i] as number)));
          edit.setInput(p.op, 1, edit.constant((p.op.inputs[1] as Value).name, f32(w.dims, values)));
        }
      });
      count("norms");
      count("channels", scale.filter((e) => e !== 1).length);
      decide(op, "smoothed", "largest factor of a channel", Math.max(...scale));
    }

    /** Products that read the normalized value along its last axis; none where its parameters are computed. */
    function readersOf(op: Op): Product[] {
      const y = op.outputs[0] as Value;
      const rank = y.type.kind === "tensor" ? (y.type.shape?.length ?? 0) : 0;
      const axis = num(op, "axis", -1);
      const parameters = [1, 2].every((i) => op.inputs[i] == null || constantTensor(op.inputs[i])?.type === "f32");
      if ((axis !== -1 && axis !== rank - 1) || !parameters || op.inputs[1] == null) return [];
      return graph.users(y).flatMap((u) => {
        const p = productOf(u);
        return p !== null && p.x === y && u.kind !== "conv" ? [p] : [];
      });
    }
  },
});

function eachWeight(p: Product, visit: (w: number, input: number, at: number) => void): void {
  const w = toNumbers(constantTensor(p.op.inputs[1]) as never);
  for (let o = 0; o < p.outs; o++) for (let i = 0; i < p.ins; i++) visit(w[p.at(o, i, 0)] as number, i, p.at(o, i, 0));
}
