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
  /** Moving averages of each batch's extremes: a batch counts for a tenth, the first in full. */
  readonly averageMin: number;
  readonly averageMax: number;
  readonly nanCount: number;
  readonly infCount: number;
  /** Equal-width bins over [lo, hi]. */
  readonly histogram: { readonly lo: number; readonly hi: number; readonly counts: Float64Array };
  /** Per channel, where `ObserveOptions.channels` asked for it. */
  readonly channels?: ChannelStatistics;
}

/** Extremes and moments of finite values, one entry a channel. */
export interface ChannelStatistics {
  readonly min: ArrayLike<number>;
  readonly max: ArrayLike<number>;
  readonly mean: ArrayLike<number>;
  readonly meanSquare: ArrayLike<number>;
}

export interface ObserveOptions {
  /** Histogram bins; 0 keeps only min, max and moments. */
  readonly bins: number;
  /** Also per channel, along `channelAxis`. */
  readonly channels?: boolean;
}

/** The axis that holds channels: 1 for what Conv reads and gives (rank 4 and 5), the last for features and tokens. */
export const channelAxis = (rank: number): number => (rank >= 4 ? 1 : rank - 1);

export interface GraphSession {
  /** Runs one batch; gives graph outputs by name, and the values listed in `keep` by value name. */
  run(feeds: Feeds): Promise<Record<string, Tensor>>;
  dispose(): void;
}

/** How the columns x of `y = W x` are found in an operand. Rows are output pixels numbered over all images, or rows of a matrix [images, channels]. */
export interface Columns {
  readonly matrix: boolean;
  readonly images: number;
  readonly channels: number;
  readonly groups: number;
  /** Not read for a matrix. A convolution over one axis has height 1. */
  readonly height: number;
  readonly width: number;
  readonly outH: number;
  readonly outW: number;
  readonly kernelH: number;
  readonly kernelW: number;
  readonly strideH: number;
  readonly strideW: number;
  readonly dilationH: number;
  readonly dilationW: number;
  readonly padTop: number;
  readonly padLeft: number;
}

/** Sums of x x^T ([groups, depth, depth], symmetric once read) and of x ([groups, depth]) over the columns of a layer. */
export interface Moments {
  readonly moments: Float64Array;
  readonly sums: Float64Array;
}

/** One layer's share of a batch: values to be added to its moments. */
export interface MomentsJob extends Columns, Moments {
  /** Values of the operand, row-major. */
  readonly x: Float32Array;
  /** The rows to take. */
  readonly rows: Int32Array;
}

/** Integers wanted for the weights of a layer's blocks, given the error d^T H d of each output channel, with d = integer - step. */
export interface RoundingProblem {
  readonly method: "adaround" | "gptq";
  readonly blocks: number;
  readonly channels: number;
  readonly depth: number;
  /** [blocks, channels, depth]: weights in steps of their scale. */
  readonly steps: Float64Array;
  /** [blocks, depth, depth], each symmetric and positive definite. */
  readonly moments: Float64Array;
  readonly lo: number;
  readonly hi: number;
  readonly actOrder: boolean;
  readonly iterations: number;
  readonly regularization: number;
  readonly pairSweeps: number;
}

/** What rounding chose. */
export interface RoundingResult {
  /** [blocks, channels, depth] */
  readonly integers: Int8Array;
  /** d^T H d of each channel ([blocks, channels]): rounded to nearest, and as chosen. */
  readonly nearestError: Float64Array;
  readonly error: Float64Array;
}

/** Number crunching of learned rounding, off the event loop. */
export interface RoundingKernels {
  /** Adds to the upper triangles of each job's moments, and to its sums; gives for each the number of values that are not finite. */
  addMoments(jobs: readonly MomentsJob[]): Promise<readonly number[]>;
  round(problem: RoundingProblem): Promise<RoundingResult>;
}

export interface Executor {
  /** `native` or `ort`. */
  readonly name: string;
  /** Absent where an executor has none. */
  readonly rounding?: RoundingKernels;
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
