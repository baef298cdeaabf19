/** Binds a data set to a graph's inputs: which array feeds which input, how many samples go into one run, and whether types and shapes fit. */
import {
  type CalibrationSource,
  countOf,
  type Dim,
  type Feeds,
  fail,
  formatType,
  fromNumbers,
  type Graph,
  isFloat,
  isInteger,
  type Tensor,
  toNumbers,
  type Value,
} from "../core/index.js";
import { batches, type Dataset } from "./data/index.js";

export interface BoundBatch {
  readonly feeds: Feeds;
  readonly labels: Int32Array | null;
  /** Samples that count: fewer than the batch where the last one was padded to a fixed batch size. */
  readonly count: number;
}

export interface BoundData {
  readonly data: Dataset;
  /** The graph's own batch size, or `null` when any is allowed. */
  readonly fixedBatch: number | null;
  batches(batch: number, limit?: number): AsyncGenerator<BoundBatch>;
}

const fits = (want: Dim, have: number): boolean => typeof want !== "number" || want === have;

/** Fails with CEC5005 when an input has no array, or an array another type or shape. */
export function bindData(data: Dataset, graph: Graph): BoundData {
  const names = Object.keys(data.shapes);
  const source = new Map<Value, string>();
  for (const input of graph.inputs) {
    const found = names.includes(input.name) ? input.name : graph.inputs.length === 1 && names.length === 1 ? names[0] : undefined;
    if (found === undefined) {
      fail("CEC5005", {
        message: `data set ${data.name} has no array for input "${input.name}"`,
        why: `the model's inputs are ${graph.inputs.map((v) => v.name).join(", ")}; the data has ${names.map((n) => n || "one unnamed array").join(", ")}`,
        help: "name the array like the input (`input:` in the data block, or the array's name in the .npz file)",
      });
    }
    if (input.type.kind === "tensor" && input.type.shape !== null) {
      const sample = data.shapes[found] as readonly number[];
      const [, ...want] = input.type.shape;
      if (input.type.shape.length === 0 || want.length !== sample.length || !want.every((d, i) => fits(d, sample[i] as number))) {
        fail("CEC5005", {
          message: `data set ${data.name} does not fit input "${input.name}"`,
          why: `the input is ${formatType(input.type)}, a sample is [${sample.join(", ")}], and the first axis is the batch`,
          help: "check resize, crop and layout in the data block",
        });
      }
    }
    source.set(input, found);
  }
  const sizes = new Set(graph.inputs.flatMap((v) => (v.type.kind === "tensor" && typeof v.type.shape?.[0] === "number" ? [v.type.shape[0]] : [])));
  const fixedBatch = sizes.size === 0 ? null : Math.max(1, ...sizes);
  const convert = (t: Tensor, input: Value): Tensor => {
    if (input.type.kind !== "tensor" || input.type.elem === t.type) return t;
    const { elem } = input.type;
    // Real numbers to any float type; integers to integers.
    const real = isFloat(t.type) || isInteger(t.type) || t.type === "bool";
    if (real && (["f16", "f32", "f64"].includes(elem) || (!isFloat(t.type) && isInteger(elem)))) return fromNumbers(elem, t.dims, toNumbers(t));
    return fail("CEC5005", {
      message: `data set ${data.name} holds ${t.type}, input "${input.name}" takes ${elem}`,
      help: "store the array in the type that the model takes",
    });
  };
  return {
    data,
    fixedBatch,
    async *batches(batch, limit = data.size) {
      for await (const b of batches(data, fixedBatch ?? batch, limit)) {
        const feeds: Record<string, Tensor> = {};
        for (const [input, name] of source) {
          let t = b.arrays[name] as Tensor;
          if (fixedBatch !== null && b.count < fixedBatch) t = padBatch(t, fixedBatch);
          feeds[input.name] = convert(t, input);
        }
        yield { feeds, labels: b.labels, count: b.count };
      }
    },
  };
}

/** Repeats the last sample until the batch is full. */
function padBatch(t: Tensor, batch: number): Tensor {
  const [n = 0, ...sample] = t.dims;
  const stride = countOf(sample);
  const data = new (t.data.constructor as Float32ArrayConstructor)(batch * stride);
  const from = t.data as Float32Array;
  data.set(from);
  for (let i = n; i < batch; i++) data.set(from.subarray((n - 1) * stride, n * stride), i * stride);
  return { type: t.type, dims: [batch, ...sample], data };
}

/** The first `count` samples of a batched output. */
export function firstSamples(t: Tensor, count: number, batch: number): Tensor {
  if (count === batch || t.dims[0] !== batch) return t;
  const stride = t.data.length / batch;
  return { type: t.type, dims: [count, ...t.dims.slice(1)], data: (t.data as Float32Array).subarray(0, count * stride) };
}

/** A data set as calibration source for passes. */
export function calibrationOf(bound: BoundData): CalibrationSource {
  return {
    size: bound.data.size,
    async *batches({ batch = 16, limit } = {}) {
      for await (const b of bound.batches(batch, limit)) yield b.feeds;
    },
  };
}
