import { z } from "zod";
import {
  blobOf,
  type ChannelStatistics,
  callOf,
  constantTensor,
  definePass,
  f32,
  type Graph,
  type Op,
  runPipeline,
  type Tensor,
  type TensorStatistics,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { type Product, productOf } from "./channels.js";
import { materializeQdq } from "./materialize-qdq.js";
import { batchFor } from "./observe.js";
import { type FixedSpec, type OpSpec, readSpec } from "./spec.js";
import { unfuseActivations } from "./unfuse.js";
import { storedWeights } from "./weights.js";

/**
 * Bias correction (Nagel et al. 2019, section 4.2): quantization moves the mean of each channel of a product; its bias takes that back.
 *
 * `fast`: the mean error of output o is the sum over inputs c of (Wq - W)_oc E[x_c], with the means of the float graph: one run over the data.
 * `full`: measures the means of the float and of the quantized graph before each activation, and takes from the difference what the layer itself causes:
 * the part that its operand brought along, sum of Wq_oc (E[xq_c] - E[x_c]), falls away once the layers before are corrected. Each round runs the
 * quantized graph with the corrections so far; all layers in one run, nothing is held but sums.
 */
export const correctBias = definePass({
  name: "correct-bias",
  summary: "Take back the shift of channels' means that quantization causes",
  description:
    'Bias correction after Nagel et al. 2019, "Data-Free Quantization through Weight Equalization and Bias Correction". `fast` from statistics of the float graph, `full` measured on the quantized graph in rounds. Stands between observe (or round-weights) and materialize-qdq.',
  from: "annotated",
  to: "same",
  keeps: "lossy",
  options: z
    .object({
      method: z.enum(["fast", "full"]).default("full").describe("from statistics of the float graph, or measured on the quantized one"),
      rounds: z.number().int().min(1).max(16).default(2).describe("full: runs of the quantized graph"),
      samples: z.number().int().min(1).default(128).describe("calibration samples, at most"),
    })
    .strict(),
  ignored: ({ method, rounds }) =>
    method === "fast" && rounds !== undefined ? [{ option: "rounds", why: "`method: fast` takes its means from one run of the float graph" }] : [],
  statistics: { corrected: "ops whose bias was corrected", added: "biases added", samples: "samples run" },
  async run({ graph, options: o, rewrite, count, decide, executor, calibration, progress }) {
    if (executor === null || calibration === null) return;
    const layers = graph.ops.flatMap(layerOf);
    if (layers.length === 0) return;
    const limit = Math.min(o.samples, calibration.size);
    const observed = async (g: Graph, names: readonly string[]): Promise<ReadonlyMap<string, TensorStatistics>> => {
      count("samples", limit);
      return executor.observe(g, [...new Set(names)], calibration.batches({ batch: batchFor(graph), limit }), { bins: 0, channels: true });
    };
    const operands = layers.map((l) => l.product.x.name);
    if (o.method === "fast") {
      const float = await observed(graph, operands);
      for (const l of layers) l.shift(fastShift(graph, l, float.get(l.product.x.name)?.channels));
    } else await measure();
    apply();

    async function measure(): Promise<void> {
      const plain = graph.clone();
      const before = unfuseActivations(plain);
      const pre = (l: Layer): string => before.get(l.product.y.name) as string;
      const float = await observed(plain, [...operands, ...layers.map(pre)]);
      for (let round = 0; round < o.rounds; round++) {
        progress(round / o.rounds, "measuring the shift of means");
        const quantized = plain.clone();
        for (const l of layers) setBias(quantized, before.get(l.product.y.name) as string, l.bias);
        await runPipeline(quantized, [callOf(materializeQdq)], { verify: "off" });
        const operand = (l: Layer): string => ((quantized.value(pre(l)) as Value).producer as Op).inputs[0]?.name ?? "";
        const seen = await observed(
          quantized,
          layers.flatMap((l) => [operand(l), pre(l)]),
        );
        for (const l of layers) {
          const [xf, yf] = [float.get(l.product.x.name)?.channels, float.get(pre(l))?.channels];
          const [xq, yq] = [seen.get(operand(l))?.channels, seen.get(pre(l))?.channels];
          l.shift(localShift(graph, l, xf, yf, xq, yq));
        }
      }
    }

    function apply(): void {
      for (const l of layers) {
        if (l.largest === 0) continue;
        const { op } = l.product;
        const had = op.inputs[2] != null;
        rewrite.patch(op, "bias corrected", (edit) => {
          const name = had ? (op.inputs[2] as Value).name : `${(op.inputs[1] as Value).name}.bias`;
          const old = op.inputs[2]?.producer ?? null;
          edit.setInput(op, 2, edit.constant(name, f32([l.bias.length], Array.from(l.bias))));
          if (old !== null) edit.eraseDead(old);
          const spec = readSpec(op) as OpSpec;
          const derived = { kind: "derivedFrom", from: [l.product.x.name, (op.inputs[1] as Value).name] };
          if (!had) edit.annotate(op, "quant", { ...spec, inputs: [spec.inputs[0], spec.inputs[1], derived] } as never);
        });
        count("corrected");
        if (!had) count("added");
        decide(op, "bias corrected", "largest correction, as a share of the step of the result's channel means", l.largest);
      }
    }
  },
});

interface Layer {
  readonly product: Product;
  readonly edge: FixedSpec;
  readonly bias: Float64Array;
  largest: number;
  shift(by: Float64Array | null): void;
}

function layerOf(op: Op): Layer[] {
  const product = productOf(op);
  const spec = readSpec(op);
  const edge = spec?.inputs[1];
  if (product === null || op.kind === "matmul" || spec?.inputs[0]?.kind !== "fixed" || edge?.kind !== "fixed") return [];
  const b = constantTensor(op.inputs[2] ?? null);
  const bias = b === null ? new Float64Array(product.outs) : Float64Array.from(toNumbers(b));
  if (bias.length !== product.outs) return [];
  const layer: Layer = {
    product,
    edge,
    bias,
    largest: 0,
    shift(by) {
      by?.forEach((e, i) => {
        bias[i]! -= e;
        layer.largest = Math.max(layer.largest, Math.abs(e));
      });
    },
  };
  return [layer];
}

/**
 * Sum over inputs of the stored weights, less the float ones where `error` is wanted, times a value per input channel, for each output. Weights are read when they
 * are needed: those of all layers at once would be as large as the model in doubles.
 */
function through(graph: Graph, { product: p, edge }: Layer, error: boolean, value: (c: number) => number): Float64Array {
  const w = constantTensor(p.op.inputs[1]) as Tensor;
  const stored = storedWeights(graph, w, edge, edge.scale).data as Int8Array;
  const float = w.data as Float32Array;
  const out = new Float64Array(p.outs);
  for (let o = 0; o < p.outs; o++) {
    const scale = (edge.scale.length === 1 ? edge.scale[0] : edge.scale[o]) as number;
    const first = Math.floor(o / p.perGroup) * p.ins;
    for (let i = 0; i < p.ins; i++) {
      let sum = 0;
      for (let k = 0; k < p.taps; k++) {
        const at = p.at(o, i, k);
        sum += (stored[at] as number) * scale - (error ? (float[at] as number) : 0);
      }
      out[o]! += sum * value(first + i);
    }
  }
  return out;
}

const fastShift = (graph: Graph, l: Layer, x: ChannelStatistics | undefined): Float64Array | null =>
  x === undefined ? null : through(graph, l, true, (c) => x.mean[c] as number);

function localShift(graph: Graph, l: Layer, ...[xf, yf, xq, yq]: readonly (ChannelStatistics | undefined)[]): Float64Array | null {
  if (xf === undefined || yf === undefined || xq === undefined || yq === undefined) return null;
  const brought = through(graph, l, false, (c) => (xq.mean[c] as number) - (xf.mean[c] as number));
  return brought.map((e, o) => (yq.mean[o] as number) - (yf.mean[o] as number) - e);
}

/** Replaces the bias of the product that gives the value, in a copy of the graph. */
function setBias(graph: Graph, result: string, bias: Float64Array): void {
  const op = graph.value(result)?.producer as Op;
  const spec = op.annotations["quant"] as unknown as OpSpec;
  const name = `${result}.bias`;
  graph.setInput(
    op,
    2,
    graph.addConstant(name, { kind: "tensor", elem: "f32", shape: [bias.length] }, blobOf(f32([bias.length], Array.from(bias))), op),
  );
  if (spec.inputs[2] == null)
    op.annotations = {
      ...op.annotations,
      quant: { ...spec, inputs: [spec.inputs[0] ?? null, spec.inputs[1] ?? null, { kind: "derivedFrom", from: [] }] } as never,
    };
}
