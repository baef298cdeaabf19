/**
 * What passes need to run a graph. The driver implements it with the native engine, or with ONNX Runtime where the engine lacks an op;
 * passes and the manager see only this interface.
 */
import type { Graph } from "../ir/graph.js";
import type { Tensor } from "../ir/tensor.js";

export type Feeds = Readonly<Record<string, Tensor>>;

/** Streaming statistics of one tensor over all batches seen. Memory is constant in the number of samples. */
export interface TensorStatistics {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  readonly nanCount: number;
  readonly infCount: number;
  /** Equal-width bins over [lo, hi]. */
  readonly histogram: { readonly lo: number; readonly hi: number; readonly counts: Float64Array };
}

export interface ObserveOptions {
  /** Histogram bins; 0 keeps only min, max and moments. */
  readonly bins: number;
}

export interface GraphSession {
  /** Runs one batch; gives graph outputs by name, and the values listed in `keep` by value name. */
  run(feeds: Feeds): Promise<Record<string, Tensor>>;
  dispose(): void;
}

export interface Executor {
  /** `native` or `ort`. */
  readonly name: string;
  /** Prepares a graph of any level below `lowered`. `keep`: names of intermediate values to return as well. */
  prepare(graph: Graph, options?: { readonly keep?: readonly string[] }): Promise<GraphSession>;
  /** Streams batches through the graph and gathers statistics of the named values (graph inputs allowed). */
  observe(
    graph: Graph,
    values: readonly string[],
    batches: AsyncIterable<Feeds>,
    options: ObserveOptions,
  ): Promise<ReadonlyMap<string, TensorStatistics>>;
  /**
   * Times single ops as the engine runs them: nanoseconds by `KIND NAME` of the lowered op, the least of several runs. Absent where an engine cannot tell.
   */
  profile?(graph: Graph, feeds: Feeds): Promise<ReadonlyMap<string, number>>;
}

/** Calibration samples, streamed anew at each call of `batches`. */
export interface CalibrationSource {
  /** Number of samples. */
  readonly size: number;
  batches(options?: { readonly batch?: number; readonly limit?: number }): AsyncIterable<Feeds>;
}
