/** Runs several sessions over one data set, batch by batch, and counts metrics against one of them. */
import { type Feeds, fail, type GraphSession, type Tensor, toNumbers } from "../core/index.js";
import type { BoundData } from "./feeds.js";
import { firstSamples } from "./feeds.js";
import { argmax, createMetricCounter, type MetricValues } from "./metrics.js";

export interface Evaluated {
  readonly values: MetricValues;
  readonly samples: number;
  /** Outputs that are NaN or infinite. */
  readonly nonFinite: number;
}

export interface EvaluateOptions {
  /** Name of the session that agreement, flips, cosine, SQNR and MSE are measured against. */
  readonly reference?: string;
  /** Name of the session whose predictions (index of the highest output, one a sample) are wanted. */
  readonly predictions?: string;
  /** Output that is judged, by its name in the model. */
  readonly output: string;
  readonly limit?: number;
  readonly signal?: AbortSignal | null;
  readonly onProgress?: (fraction: number, what: string) => void;
}

/** Elements of input in one batch: keeps the memory of evaluation bounded whatever the image size. */
const BATCH_ELEMENTS = 2 ** 18;

const MOST_SAMPLES = 16;

/** Samples in one run for a model with a free batch axis. */
export function batchFor(bound: BoundData): number {
  const sample = Object.values(bound.data.shapes).reduce((n, s) => n + s.reduce((a, b) => a * b, 1), 0);
  return Math.max(1, Math.min(MOST_SAMPLES, Math.floor(BATCH_ELEMENTS / Math.max(1, sample))));
}

function checkLabels(labels: Int32Array, output: Tensor, data: string): void {
  const classes = output.dims.length > 1 ? output.data.length / Math.max(1, output.dims[0] as number) : 0;
  for (const label of labels) {
    if (label < classes) continue;
    fail("CEC5003", {
      message: `data set ${data} has the label ${label}`,
      why: `the model's output has ${classes} classes, so labels are 0 to ${classes - 1}`,
      help: "check that data and model belong together",
    });
  }
}

/**
 * One pass over the data; sessions take turns on each batch, so that what is held is one batch and the counters.
 * @returns metrics by session name, and the predictions that were asked for
 */
export async function evaluate(
  bound: BoundData,
  sessions: Readonly<Record<string, GraphSession>>,
  options: EvaluateOptions,
): Promise<{ readonly results: Record<string, Evaluated>; readonly predictions: Int32Array }> {
  const { reference, output, limit = bound.data.size, signal, onProgress } = options;
  const names = Object.keys(sessions).sort((a, b) => Number(b === reference) - Number(a === reference));
  const counters = Object.fromEntries(names.map((n) => [n, createMetricCounter()]));
  const total = Math.min(limit, bound.data.size);
  const predictions = new Int32Array(options.predictions === undefined ? 0 : total);
  let done = 0;
  for await (const b of bound.batches(batchFor(bound), limit)) {
    if (signal?.aborted) fail("CEC1005", { message: "evaluation was interrupted" });
    let wanted: Tensor | null = null;
    for (const name of names) {
      const outputs = await (sessions[name] as GraphSession).run(b.feeds);
      const raw =
        outputs[output] ??
        fail("CEC1004", { message: `the model has no output "${output}"`, help: `its outputs are ${Object.keys(outputs).join(", ")}` });
      const y = firstSamples(raw, b.count, bound.fixedBatch ?? b.count);
      const labels = b.labels?.subarray(0, b.count) ?? null;
      if (labels !== null && name === names[0]) checkLabels(labels, y, bound.data.name);
      if (name === reference) wanted = y;
      if (name === options.predictions) topIndices(y, predictions, done);
      counters[name]?.add(y, wanted, labels);
    }
    done += b.count;
    onProgress?.(done / Math.max(1, total), `${done} of ${total} samples`);
  }
  const results = Object.fromEntries(
    names.map((n): [string, Evaluated] => {
      const c = counters[n] as ReturnType<typeof createMetricCounter>;
      return [n, { values: c.read(), samples: c.samples, nonFinite: c.nonFinite }];
    }),
  );
  return { results, predictions };
}

/** Index of the highest value of each sample. */
function topIndices(y: Tensor, out: Int32Array, at: number): void {
  const n = y.dims[0] ?? 1;
  const width = n === 0 ? 0 : y.data.length / n;
  const values = toNumbers(y);
  for (let i = 0; i < n && at + i < out.length; i++) out[at + i] = argmax(values, i * width, width);
}

/** The first batch of one sample: what latency is measured on. */
export async function oneSample(bound: BoundData): Promise<Feeds> {
  for await (const b of bound.batches(1, 1)) return b.feeds;
  return fail("CEC5002", { message: `data set ${bound.data.name} is empty` });
}
