/** Batches for training: shuffled, augmented, loaded ahead by worker threads. A batch depends on the seed and its number alone, never on the workers. */
import { Worker } from "node:worker_threads";
import { type Augmentation, CecError, countOf, type Diagnostic, randomFrom, streamOf, type Tensor } from "../../core/index.js";
import { type DataKindName, type Dataset, openData, slice } from "../data/index.js";
import { augmentImage, imageShape } from "./augment.js";
import { checkIndices, type IndexLimit } from "./indices.js";

/** Where a data set comes from: what a worker thread opens it by. */
export interface DataSource {
  readonly name: string;
  readonly kind: DataKindName;
  readonly options: Readonly<Record<string, unknown>>;
  readonly baseDir: string;
  readonly slice: readonly [number, number] | null;
}

/** What determines every batch. */
export interface LoaderSettings {
  readonly source: DataSource;
  readonly batch: number;
  readonly seed: number;
  readonly augment: Augmentation;
  /** Integers of the data that are checked. */
  readonly limits: readonly IndexLimit[];
}

/** One batch, augmented; labels as class indices where the data has them. */
export interface TrainingBatch {
  readonly arrays: Readonly<Record<string, Tensor>>;
  readonly labels: BigInt64Array | null;
}

/** Opens a set and takes its slice. */
export async function openSource(s: DataSource): Promise<Dataset> {
  const data = await openData(s.name, s.kind, s.options, s.baseDir);
  return s.slice === null ? data : slice(data, ...s.slice);
}

/** Steps of one epoch: what is left over at its end is not used; a set smaller than the batch is one batch. */
export const stepsOf = (size: number, batch: number): number => Math.max(1, Math.floor(size / batch));

/** Makes batches one by one. */
export function batchMaker(data: Dataset, s: Omit<LoaderSettings, "source">): (step: number) => Promise<TrainingBatch> {
  const batch = Math.min(s.batch, data.size);
  const perEpoch = stepsOf(data.size, batch);
  let order: { readonly epoch: number; readonly indices: Uint32Array } | null = null;
  const indicesOf = (epoch: number): Uint32Array => {
    if (order?.epoch === epoch) return order.indices;
    // Fisher, Yates; one stream of the seed for each epoch.
    const indices = Uint32Array.from({ length: data.size }, (_, i) => i);
    const random = randomFrom(s.seed, streamOf(`shuffle:${epoch}`));
    for (let i = data.size - 1; i > 0; i--) {
      const j = Math.min(i, Math.floor(random() * (i + 1)));
      [indices[i], indices[j]] = [indices[j] as number, indices[i] as number];
    }
    order = { epoch, indices };
    return indices;
  };
  const changes = s.augment.crop > 0 || s.augment.flip || s.augment.cutout > 0;
  return async (step) => {
    const epoch = Math.floor(step / perEpoch);
    const first = (step % perEpoch) * batch;
    const picked = indicesOf(epoch).subarray(first, first + batch);
    const arrays: Record<string, Tensor> = {};
    const labels = data.hasLabels ? new BigInt64Array(batch) : null;
    for (let i = 0; i < batch; i++) {
      const index = picked[i] as number;
      const one = await data.read(index, 1);
      checkIndices(s.limits, one, data.name, index);
      if (labels !== null) labels[i] = BigInt(one.labels?.[0] ?? 0);
      for (const [name, t] of Object.entries(one.arrays)) {
        const [, ...dims] = t.dims;
        const n = countOf(dims);
        arrays[name] ??= { type: t.type, dims: [batch, ...dims], data: new (t.data.constructor as Float32ArrayConstructor)(batch * n) };
        const to = (arrays[name] as Tensor).data as Float32Array;
        const shape = changes && t.type === "f32" ? imageShape(dims) : null;
        if (shape === null) to.set(t.data as Float32Array, i * n);
        else augmentImage(t.data as Float32Array, to, i * n, shape, s.augment, randomFrom(s.seed, streamOf(`augment:${epoch}:${index}`)));
      }
    }
    return { arrays, labels };
  };
}

/** Batches in the order of the steps. `next` throws what reading them threw. */
export interface Loader {
  next(): Promise<TrainingBatch>;
  close(): Promise<void>;
}

/** What workers answer: a batch, or why there is none. */
export type Answer =
  | { readonly step: number; readonly batch: TrainingBatch }
  | { readonly step: number; readonly diagnostics: readonly Diagnostic[] | null; readonly message: string };

/** Batches that each worker makes ahead. */
const AHEAD = 3;

/** A loader thread. Run from the sources (tests, `tsx`), it needs tsx's loader hooks, which threads do not inherit. */
function startWorker(settings: LoaderSettings): Worker {
  if (!import.meta.url.endsWith(".ts")) return new Worker(new URL("./loader-worker.js", import.meta.url), { workerData: settings });
  const entry = JSON.stringify(new URL("./loader-worker.ts", import.meta.url).href);
  return new Worker(`import("tsx/esm/api").then(({ register }) => (register(), import(${entry})));`, { eval: true, workerData: settings });
}

/** Batches from step `from` on. With 0 workers they are made when they are asked for. */
export async function openLoader(settings: LoaderSettings, data: Dataset, workers: number, from: number): Promise<Loader> {
  let step = from;
  if (workers === 0) {
    const make = batchMaker(data, settings);
    return { next: () => make(step++), close: async () => undefined };
  }
  const threads = Array.from({ length: workers }, () => startWorker(settings));
  const ready = new Map<number, Answer>();
  let waiting: (() => void) | null = null;
  let broken: Error | null = null;
  const wake = (): void => {
    waiting?.();
    waiting = null;
  };
  for (const w of threads) {
    w.on("message", (a: Answer) => {
      ready.set(a.step, a);
      wake();
    });
    w.on("error", (e) => {
      broken = e;
      wake();
    });
  }
  const ask = (s: number): void => threads[s % workers]?.postMessage(s);
  for (let s = from; s < from + AHEAD * workers; s++) ask(s);
  return {
    async next() {
      for (;;) {
        if (broken !== null) throw broken;
        const a = ready.get(step);
        if (a !== undefined) {
          ready.delete(step);
          ask(step + AHEAD * workers);
          step++;
          if ("batch" in a) return a.batch;
          throw a.diagnostics === null ? new Error(a.message) : new CecError([...a.diagnostics]);
        }
        await new Promise<void>((resolve) => {
          waiting = resolve;
        });
      }
    },
    async close() {
      await Promise.all(threads.map((w) => w.terminate()));
    },
  };
}
