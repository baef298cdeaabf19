/** What the analysis speaks of: an op of the source beside its quantized counterpart. */
import { findPass } from "../../../passes/index.js";
import { type Graph, num, type Op, type PassDefinition, runPipeline, type Value } from "../../core/index.js";
import { alignInputs } from "./align.js";
import { foldApart } from "./batch-norm.js";
import { matchGraphs, nameOf, type Unmatched } from "./match.js";
import { alignScales } from "./rescale.js";
import { type Quantizer, READS, type Stored, stripQuantizers } from "./strip.js";

/** An op of the source and its counterpart, with what is measured there. */
export interface Layer {
  readonly name: string;
  readonly kind: string;
  /** In the source's normal form. */
  readonly source: Op;
  /** In the stripped compressed model. */
  readonly compressed: Op;
  /** By operand position of the compressed op: the source's value that it stands for; `null` for constants and absent operands. */
  readonly reads: readonly (Value | null)[];
  /** By operand position: through which quantizer the compressed op reads. */
  readonly inputs: readonly (Quantizer | null)[];
  /** The quantizer of its result. */
  readonly output: Quantizer | null;
  readonly weights: Stored | null;
  /** Its weights are stored in integers, which a BatchNorm apart scales so that none stand for the product. */
  readonly weightsLost: boolean;
  /** Value of the compressed model that stands for the result, behind its quantizer where it has one; `null` where none can be compared. */
  readonly tap: string | null;
  /** Why the result cannot be compared. */
  readonly untapped: string | null;
}

/** Both models and what was matched. */
export interface Pair {
  /** The source in its normal form: BatchNorm folded, activations fused. */
  readonly source: Graph;
  /** The compressed model as it runs. */
  readonly compressed: Graph;
  readonly layers: readonly Layer[];
  readonly unmatched: readonly Unmatched[];
  /** Quantizers by the name of the source's value that they store. */
  readonly quantizers: ReadonlyMap<string, Quantizer>;
  /** Layers of the source that were scaled as the compressed model's are. */
  readonly equalized: readonly string[];
}

const beforeFolding = ["canonicalize"];
const afterFolding = ["canonicalize", "fuse", "canonicalize"];

async function run(graph: Graph, names: readonly string[]): Promise<void> {
  await runPipeline(
    graph,
    names.map((name) => ({ pass: findPass(name) as PassDefinition, options: {} })),
    { verify: "off" },
  );
}

/** The normal form in which both models are compared: what every recipe of ours, and the pre-processing of other tools, does before quantization. */
export async function normalize(graph: Graph): Promise<Graph> {
  await run(graph, [...beforeFolding, "fold_batch_norm", ...afterFolding]);
  return graph;
}

/** False where it reads a value without counterpart, so that it cannot be run on the source's values. */
export const runsAlone = (l: Layer): boolean =>
  l.compressed.inputs.every((v, i) => v === null || v.producer?.kind === "constant" || l.reads[i] != null);

export const isQuantized = (l: Layer): boolean => l.weights !== null || l.weightsLost || l.output !== null || l.inputs.some((q) => q !== null);

/** The activation's bounds, as attributes give them. */
function bounds(op: Op): readonly [number, number] {
  const { activation } = op.attrs;
  if (activation === "relu") return [0, Number.POSITIVE_INFINITY];
  if (activation === "clip") return [num(op, "clip_min", Number.NEGATIVE_INFINITY), num(op, "clip_max", Number.POSITIVE_INFINITY)];
  return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
}

/** A quantizer from zero up makes the Relu before it needless, and some tools take it out. */
const absorbs = (q: Quantizer | null, op: Op): boolean => {
  const [low, high] = bounds(op);
  return q !== null && q.low >= low - 1e-6 && q.high <= high * (1 + 1e-6) + 1e-6;
};

/** @param sourceGraph is brought into normal form in place; @param compressed must be canonical already */
export async function pairModels(sourceGraph: Graph, compressed: Graph): Promise<Pair> {
  const source = await normalize(sourceGraph);
  const { graph: stripped, quantizers, stored } = stripQuantizers(compressed);
  await run(stripped, beforeFolding);
  const apart = await foldApart(stripped, stored);
  await run(stripped, afterFolding);
  /** The value of the compressed model that one of the stripped graph stands for. */
  const held = (v: Value): string => apart.results.get(v.name) ?? v.name;
  alignInputs(source, stripped);
  const { ops, values, unmatched } = matchGraphs(source, stripped);
  const equalized = await alignScales(source, ops, apart.ops);
  const layers: Layer[] = [];
  const bySource = new Map<string, Quantizer>();
  const readQuantizer = (op: Op, i: number): Quantizer | null => {
    const v = op.inputs[i];
    const reads = op.annotations[READS];
    const q = v == null ? undefined : quantizers.get(held(v));
    return q === undefined || (Array.isArray(reads) && !(reads as number[]).includes(i)) ? null : q;
  };
  source.inputs.forEach((v, i) => {
    const q = quantizers.get((compressed.inputs.find((w) => w.name === v.name) ?? compressed.inputs[i])?.name ?? "");
    if (q !== undefined) bySource.set(v.name, q);
  });
  for (const s of source.ops) {
    const c = ops.get(s);
    if (c === undefined) continue;
    const y = held(c.outputs[0] as Value);
    const output = quantizers.get(y) ?? null;
    if (output !== null) bySource.set((s.outputs[0] as Value).name, output);
    const untapped =
      s.attrs["activation"] !== c.attrs["activation"] && !absorbs(output, s)
        ? "its activation has no counterpart in the compressed model"
        : compressed.value(y) === undefined
          ? "its result is no value of the compressed model: passes of the comparison rewrote it"
          : null;
    layers.push({
      name: nameOf(s),
      kind: s.kind === "carry" ? String(s.attrs["op_type"]) : s.kind,
      source: s,
      compressed: c,
      reads: c.inputs.map((v) => (v === null ? null : (values.get(v) ?? null))),
      inputs: c.inputs.map((_, i) => readQuantizer(c, i)),
      output,
      weights: stored.get(c.inputs[1]?.name ?? "") ?? null,
      weightsLost: apart.lost.has(c.inputs[1]?.name ?? ""),
      tap: untapped === null ? (output?.result ?? y) : null,
      untapped,
    });
  }
  return { source, compressed, layers, unmatched, quantizers: bySource, equalized };
}
