import { z } from "zod";
import { definePass, fail, fromNumbers, type Json, type RoundingKernels, toNumbers } from "../../../compiler/core/index.js";
import { batchFor } from "../observe.js";
import { type OpSpec, readSpec } from "../spec.js";
import { sliceOf, storedRange } from "../weights.js";
import { blocksOf, columnKey, indexIn, type Layer, layerOf, momentBytes } from "./layers.js";
import { collectMoments, type LayerMoments } from "./moments.js";
import { learningOptions } from "./options.js";

const options = z.object({ method: z.enum(["adaround", "gptq"]).default("gptq").describe("how integers are found"), ...learningOptions }).strict();
type Options = z.infer<typeof options>;

const MIB = 2 ** 20;

/**
 * Chooses for each weight the integer that keeps its layer's results, instead of the nearest: with d the change of one output channel's weights, the layer's mean
 * squared error on its own inputs is d^T E[x x^T] d, which is what falls. The integers are written as a constant that the spec of the weights names; nothing else
 * changes. The error is never above that of rounding to nearest, on the columns taken. Does not look at what later layers make of an error, and takes inputs as
 * the float graph gives them.
 */
export const roundWeights = definePass({
  name: "round-weights",
  summary: "Learn from calibration data whether weights are rounded up or down",
  description:
    "AdaRound (Nagel et al. 2020) or GPTQ (Frantar et al. 2022) on the second moments of each layer's inputs, then coordinate descent until no change of one or (within a sweep) two integers helps. Stands between observe and materialize-qdq.",
  from: "annotated",
  to: "same",
  keeps: "bit-exact",
  options,
  statistics: {
    layers: "layers whose rounding was learned",
    nearest: "layers that are rounded to nearest",
    changed: "weights that are not rounded to nearest",
    widened: "channels whose weight scale was widened for the bias",
    runs: "runs over the calibration samples",
  },
  async run({ graph, options: o, rewrite, count, decide, executor, calibration, random, progress, signal }) {
    const layers: Layer[] = [];
    for (const op of graph.ops) {
      const layer = layerOf(op, o.memory * MIB);
      if (layer === null) continue;
      if (typeof layer !== "string") layers.push(layer);
      else {
        count("nearest");
        decide(op, "rounded to nearest", layer);
      }
    }
    if (layers.length === 0) return;
    if (executor === null || calibration === null)
      return fail("CEC4006", {
        message: "learned rounding needs calibration data",
        help: "add `calibrate DATA` to the plan, or use `rounding: nearest`",
      });
    const kernels = executor.rounding;
    if (kernels === undefined)
      return fail("CEC6009", { message: `the executor ${executor.name} has no kernels for learned rounding`, help: "npm run build:native" });
    const batch = batchFor(graph);
    const seed = Math.floor(random() * 2 ** 32);
    const runs = inRuns(layers, o.memory * MIB, batch);
    const work = runs.length * Math.min(o.samples, calibration.size) + layers.length;
    let done = 0;
    const step = (by: number, what: string): void => {
      if (signal?.aborted) fail("CEC1005", { message: "learned rounding was interrupted" });
      done += by;
      progress(Math.min(1, done / Math.max(1, work)), what);
    };
    for (const run of runs) {
      const moments = await collectMoments(graph, run, executor, kernels, calibration, {
        batch,
        samples: o.samples,
        rows: o.rows,
        seed,
        ran: (n) => step(n, "second moments of the layers' inputs"),
      });
      count("runs");
      // Layers that share columns share the sums: damping is done once.
      for (const l of new Map(run.map((e) => [columnKey(e), e])).values()) damp(moments.get(columnKey(l)) as LayerMoments, l.depth, o.damping);
      for (const l of run) {
        const found = await solve(l, moments.get(columnKey(l)) as LayerMoments, kernels, o);
        write(l, found);
        step(1, `rounding ${l.op.name}`);
      }
    }

    function write(l: Layer, found: Found): void {
      const spec = readSpec(l.op) as OpSpec;
      const w = l.op.inputs[1]?.name ?? "w";
      rewrite.patch(l.op, `weights rounded by ${o.method}`, (edit) => {
        const integers = edit.constant(`${w}.rounded`, fromNumbers("i8", l.weights.dims, found.integers));
        const inputs = spec.inputs.map((e, i) => (i === 1 ? { ...l.edge, integers: integers.name } : e));
        edit.annotate(l.op, "quant", { ...spec, inputs } as unknown as Json);
      });
      count("layers");
      count("changed", found.changed);
      if (l.widened > 0) count("widened", l.widened);
      const parts = l.parts > 1 ? `, in ${l.parts} blocks of input channels` : "";
      decide(l.op, `rounded by ${o.method}`, `squared error of its result, as a share of that of rounding to nearest${parts}`, found.share);
    }
  },
});

/** Layers in graph order, in as few runs as the memory allows. */
function inRuns(layers: readonly Layer[], bytes: number, batch: number): Layer[][] {
  const runs: Layer[][] = [];
  let [left, held] = [0, new Set<string>()];
  for (const l of layers) {
    const shape = l.x.type.kind === "tensor" ? (l.x.type.shape ?? []) : [];
    const kept = held.has(l.x.name) ? 0 : 4 * batch * shape.slice(1).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
    const needed = (held.has(columnKey(l)) ? 0 : momentBytes(l)) + kept;
    if (runs.length === 0 || needed > left) {
      runs.push([]);
      [left, held] = [bytes, new Set()];
    }
    (runs[runs.length - 1] as Layer[]).push(l);
    left -= needed;
    held.add(columnKey(l)).add(l.x.name);
  }
  return runs;
}

/**
 * Means instead of sums, made positive definite: products of different inputs shrink by the share depth / (depth + rows), since few columns show correlations that
 * are none; and a share of the mean square is added to all squares. With few samples integers stay near their weights.
 */
function damp(m: LayerMoments, depth: number, damping: number): void {
  const shrink = m.rows / (m.rows + depth);
  for (let at = 0; at < m.moments.length; at += depth * depth) {
    let mean = 0;
    for (let i = 0; i < depth; i++) mean += (m.moments[at + i * depth + i] as number) / m.rows / depth;
    const added = damping * mean || 1;
    for (let i = 0; i < depth; i++) {
      for (let j = 0; j < depth; j++) m.moments[at + i * depth + j]! *= i === j ? 1 / m.rows : shrink / m.rows;
      m.moments[at + i * depth + i]! += added;
    }
  }
}

interface Found {
  readonly integers: Int8Array;
  readonly changed: number;
  /** Error as a share of the error of rounding to nearest. */
  readonly share: number;
}

async function solve(l: Layer, m: LayerMoments, kernels: RoundingKernels, o: Options): Promise<Found> {
  const values = toNumbers(l.weights);
  const channel = l.edge.axis === null ? () => 0 : sliceOf(l.weights.dims, l.edge.axis);
  const scaleAt = (i: number): number => l.edge.scale[channel(i)] as number;
  const blocks = blocksOf(l);
  const steps = new Float64Array(values.length);
  // Where each step lies in the weights.
  const place = new Int32Array(values.length);
  let n = 0;
  for (let b = 0; b < blocks; b++) {
    const at = indexIn(l, b);
    for (let c = 0; c < l.channels; c++) for (let k = 0; k < l.depth; k++) place[n++] = at(c, k);
  }
  place.forEach((at, i) => {
    steps[i] = (values[at] as number) / scaleAt(at);
  });
  const [lo, hi] = storedRange(l.edge.bits);
  const found = await kernels.round({
    method: o.method,
    blocks,
    channels: l.channels,
    depth: l.depth,
    steps,
    moments: m.moments,
    lo,
    hi,
    actOrder: o.act_order,
    iterations: o.iterations,
    regularization: o.regularization,
    pairSweeps: o.pair_sweeps,
  });
  const integers = new Int8Array(values.length);
  let changed = 0;
  place.forEach((at, i) => {
    const q = found.integers[i] as number;
    integers[at] = q;
    if (Math.abs(q - Math.max(lo, Math.min(hi, steps[i] as number))) > 0.5) changed++;
  });
  let [before, after] = [0, 0];
  found.error.forEach((e, c) => {
    const scale = scaleAt(place[c * l.depth] as number);
    before += scale ** 2 * (found.nearestError[c] as number);
    after += scale ** 2 * e;
  });
  return { integers, changed, share: before === 0 ? 1 : after / before };
}
