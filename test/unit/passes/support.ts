/** Graphs in text, run by the scalar reference evaluation of the ops: independent of the engine and of the passes. */
import {
  type CalibrationSource,
  type ChannelStatistics,
  channelAxis,
  type Executor,
  type Feeds,
  fromNumbers,
  type Graph,
  isInteger,
  type PipelineResult,
  parseIrFile,
  parsePasses,
  randomFrom,
  resolvePasses,
  runPipeline,
  type Tensor,
  type TensorStatistics,
  toNumbers,
} from "../../../compiler/core/index.js";
import { passes } from "../../../passes/index.js";
import { referenceExecutor } from "../core/pass/reference.js";

export { samplesOf } from "../core/pass/reference.js";

/** A graph from the lines of its body. */
export const graphOf = (body: string, level = "float"): Graph => parseIrFile(`cir 1\ngraph @g level=${level} {\n${body}\n}`, { infer: true }).graph;

/** Random operands for all inputs; symbols and unknown sizes are `size`. `null` where an input has no known rank or is a string. */
export function randomFeeds(graph: Graph, seed: number, size = 2, low = -2, high = 2): Feeds | null {
  const random = randomFrom(seed);
  const feeds: Record<string, Tensor> = {};
  for (const v of graph.inputs) {
    if (v.type.kind !== "tensor" || v.type.shape === null || v.type.elem === "string") return null;
    const dims = v.type.shape.map((d) => (typeof d === "number" ? d : size));
    const n = dims.reduce((a, b) => a * b, 1);
    const one = isInteger(v.type.elem) || v.type.elem === "bool" ? () => Math.floor(random() * 2) : () => low + (high - low) * random();
    feeds[v.name] = fromNumbers(v.type.elem, dims, Array.from({ length: n }, one));
  }
  return feeds;
}

export async function evaluateGraph(graph: Graph, feeds: Feeds, keep: readonly string[] = []): Promise<Record<string, Tensor>> {
  const session = await referenceExecutor.prepare(graph, { keep });
  return session.run(feeds);
}

/** Runs passes as a RUN line names them. */
export const runPasses = (
  graph: Graph,
  line: string,
  options: { readonly executor?: Executor; readonly calibration?: CalibrationSource } = {},
): Promise<PipelineResult> => runPipeline(graph, resolvePasses(parsePasses(line), passes), { seed: 1, verify: "each", ...options });

/**
 * Statistics of values, computed the slow way: everything is held, then counted once. The bins end at the extremes seen.
 */
export function statisticsOf(values: readonly number[], bins: number): TensorStatistics {
  const finite = values.filter(Number.isFinite);
  const min = finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const max = finite.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const mean = finite.reduce((a, b) => a + b, 0) / finite.length;
  const counts = new Float64Array(bins);
  const width = (max - min) / bins;
  for (const v of finite) counts[width === 0 ? 0 : Math.min(bins - 1, Math.floor((v - min) / width))]! += 1;
  return {
    count: finite.length,
    min: finite.length === 0 ? 0 : min,
    max: finite.length === 0 ? 0 : max,
    mean,
    std: Math.sqrt(finite.reduce((a, b) => a + (b - mean) ** 2, 0) / finite.length),
    averageMin: finite.length === 0 ? 0 : min,
    averageMax: finite.length === 0 ? 0 : max,
    nanCount: values.filter(Number.isNaN).length,
    infCount: values.filter((v) => Math.abs(v) === Number.POSITIVE_INFINITY).length,
    histogram: { lo: finite.length === 0 ? 0 : min, hi: finite.length === 0 ? 0 : max, counts },
  };
}

/** Values by channel, added to those seen before. */
function byChannel(t: Tensor, before: number[][] | undefined): number[][] {
  const axis = channelAxis(t.dims.length);
  const n = t.dims[axis] ?? 1;
  const inner = t.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const out = before ?? Array.from({ length: n }, () => []);
  toNumbers(t).forEach((v, i) => {
    out[Math.floor(i / inner) % n]?.push(v);
  });
  return out;
}

const channelsOf = (values: readonly (readonly number[])[]): ChannelStatistics => {
  const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
  return {
    min: values.map((v) => Math.min(...v)),
    max: values.map((v) => Math.max(...v)),
    mean: values.map(mean),
    meanSquare: values.map((v) => mean(v.map((e) => e * e))),
  };
};

/** The reference executor with statistics. */
export const observingExecutor: Executor = {
  ...referenceExecutor,
  async observe(graph, names, batches, { bins, channels }) {
    const perChannel = new Map<string, number[][]>();
    const seen = new Map<string, number[]>(names.map((n) => [n, []]));
    for await (const feeds of batches) {
      const out = await evaluateGraph(
        graph,
        feeds,
        names.filter((n) => graph.value(n) !== undefined && feeds[n] === undefined),
      );
      for (const n of names) {
        const t = (feeds[n] ?? out[n]) as Tensor;
        for (const v of toNumbers(t)) seen.get(n)?.push(v);
        if (channels === true) perChannel.set(n, byChannel(t, perChannel.get(n)));
      }
    }
    return new Map(
      [...seen].map(([n, v]) => {
        const each = perChannel.get(n);
        return [n, each === undefined ? statisticsOf(v, bins) : { ...statisticsOf(v, bins), channels: channelsOf(each) }];
      }),
    );
  },
};
