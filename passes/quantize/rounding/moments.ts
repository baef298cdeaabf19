/** Streaming second moments of layers' inputs: what is held is one set of sums for each layer, and the kept activations of one batch. */
import {
  type CalibrationSource,
  type Executor,
  fail,
  type Graph,
  type Moments,
  type MomentsJob,
  type RoundingKernels,
  randomFrom,
  streamOf,
  type Tensor,
} from "../../../compiler/core/index.js";
import { blocksOf, columnKey, columnsOf, type Layer } from "./layers.js";

export interface LayerMoments extends Moments {
  /** Columns summed. */
  rows: number;
}

export interface MomentSettings {
  readonly batch: number;
  /** Samples to run, and columns to take from a layer, at most. */
  readonly samples: number;
  readonly rows: number;
  /** Of the choice of rows: each layer has a stream of its own, so that it does not depend on which layers share a run. */
  readonly seed: number;
  /** Called with the number of samples that were run. */
  readonly ran: (samples: number) => void;
}

/** Columns that settle the moments of a layer of this depth: many for each of them, and enough for the shallow ones. */
const enough = (depth: number): number => Math.max(4096, 64 * depth);

/** `count` of `total` rows, one from each of as many equal runs: ascending, without repetition. */
export function pickRows(total: number, count: number, random: () => number): Int32Array {
  if (count >= total) return Int32Array.from({ length: total }, (_, i) => i);
  return Int32Array.from({ length: count }, (_, i) => {
    const [from, to] = [Math.floor((i * total) / count), Math.floor(((i + 1) * total) / count)];
    return from + Math.floor(random() * (to - from));
  });
}

/**
 * Runs the calibration samples once and sums x x^T and x over the inputs of the layers; layers with the same columns share them.
 * @returns by `columnKey`; moments are full symmetric matrices, not yet divided by `rows`
 * @throws CecError CEC4006 without samples, CEC4007 where an input holds NaN or infinity
 */
export async function collectMoments(
  graph: Graph,
  layers: readonly Layer[],
  executor: Executor,
  kernels: RoundingKernels,
  calibration: CalibrationSource,
  settings: MomentSettings,
): Promise<ReadonlyMap<string, LayerMoments>> {
  const distinct = new Map(layers.map((l) => [columnKey(l), l]));
  const random = new Map([...distinct.keys()].map((key) => [key, randomFrom(settings.seed, streamOf(key))]));
  const held = new Map<string, LayerMoments>(
    [...distinct].map(([key, l]) => [
      key,
      { moments: new Float64Array(blocksOf(l) * l.depth * l.depth), sums: new Float64Array(blocksOf(l) * l.depth), rows: 0 },
    ]),
  );
  const size = Math.min(settings.samples, calibration.size);
  const session = await executor.prepare(graph, { keep: [...new Set(layers.map((l) => l.x.name))] });
  let done = 0;
  try {
    for await (const feeds of calibration.batches({ batch: settings.batch, limit: size })) {
      const values = await session.run(feeds);
      const samples = Object.values(feeds)[0]?.dims[0] ?? 1;
      const jobs: MomentsJob[] = [];
      for (const [key, l] of distinct) {
        const x = values[l.x.name] as Tensor;
        const columns = columnsOf(l, x.dims);
        const sums = held.get(key) as LayerMoments;
        const total = columns.images * columns.outH * columns.outW;
        const wanted = (Math.min(settings.rows, enough(l.depth)) * samples) / Math.max(size, samples);
        const rows = pickRows(total, Math.max(1, Math.ceil(wanted)), random.get(key) as () => number);
        sums.rows += rows.length;
        jobs.push({ ...columns, x: x.data as Float32Array, rows, moments: sums.moments, sums: sums.sums });
      }
      const bad = await kernels.addMoments(jobs);
      const at = bad.findIndex((n) => n > 0);
      if (at >= 0) refuse([...distinct.values()][at] as Layer);
      done += samples;
      settings.ran(samples);
    }
  } finally {
    session.dispose();
  }
  if (done === 0) fail("CEC4006", { message: "the calibration data holds no sample", help: "check the slice of the data that `calibrate` names" });
  for (const [key, l] of distinct) mirror((held.get(key) as LayerMoments).moments, l.depth);
  return held;
}

const refuse = (l: Layer): never =>
  fail("CEC4007", {
    message: `the tensor "${l.x.name}" holds NaN or infinite values on the calibration data`,
    why: `the rounding of "${l.op.name}" cannot be learned from them`,
    help: "check the data and its normalization; `keep` leaves the op in float, `rounding: nearest` takes no data",
    at: { tensor: l.x.name },
  });

/** Copies the upper triangles to the lower ones. */
function mirror(moments: Float64Array, depth: number): void {
  for (let at = 0; at < moments.length; at += depth * depth)
    for (let i = 0; i < depth; i++) for (let j = i + 1; j < depth; j++) moments[at + j * depth + i] = moments[at + i * depth + j] as number;
}
