/** ONNX Runtime (onnxruntime-node, an optional dependency) as an executor: runs the graph's ONNX export. */
import type { InferenceSession } from "onnxruntime-node";
import { roundingKernels } from "../../../runtime-native/ts/index.js";
import {
  byteSize,
  channelAxis,
  countOf,
  type ElementType,
  type Executor,
  exportOnnx,
  type Feeds,
  fail,
  fromBytes,
  type Graph,
  type GraphSession,
  type Tensor,
  type TensorStatistics,
  toNumbers,
} from "../../core/index.js";

type Ort = typeof import("onnxruntime-node");

let loading: Promise<Ort | null> | undefined;

/** The module, or `null` when it is not installed. */
export function loadOrt(): Promise<Ort | null> {
  loading ??= import("onnxruntime-node").then(
    (m) => {
      const ort = ((m as { default?: Ort }).default ?? m) as Ort;
      // What it refuses comes as an exception, which is reported in our own words.
      ort.env.logLevel = "fatal";
      return ort;
    },
    () => null,
  );
  return loading;
}

async function needOrt(): Promise<Ort> {
  return (
    (await loadOrt()) ??
    fail("CEC6011", {
      message: "ONNX Runtime is not installed",
      help: "npm install onnxruntime-node@1.30.0 (ONNXRUNTIME_NODE_INSTALL=skip avoids the download of its CUDA provider)",
    })
  );
}

export async function ortVersion(): Promise<string | null> {
  const ort = await loadOrt();
  return ort === null ? null : (ort.env.versions.common ?? "unknown");
}

const toOrt: { readonly [T in ElementType]?: string } = {
  f32: "float32",
  f64: "float64",
  f16: "float16",
  i64: "int64",
  i32: "int32",
  i16: "int16",
  i8: "int8",
  u64: "uint64",
  u32: "uint32",
  u16: "uint16",
  u8: "uint8",
  bool: "bool",
  string: "string",
};
const fromOrt = new Map(Object.entries(toOrt).map(([k, v]) => [v as string, k as ElementType]));

export interface OrtOptions {
  readonly threads?: number;
  /** Exact INT8 products on x86 CPUs without VNNI, where ONNX Runtime saturates by default. Default true; benches and users' own sessions use false. */
  readonly exact?: boolean;
  /** What the model is, for messages: the user's file, or one that cec wrote. */
  readonly role?: "source" | "result";
}

/** A session on the bytes of a model file. */
export async function ortSession(
  model: Uint8Array | string,
  options: OrtOptions = {},
): Promise<GraphSession & { readonly inputNames: readonly string[]; readonly outputNames: readonly string[] }> {
  const ort = await needOrt();
  let session: InferenceSession;
  try {
    const settings: InferenceSession.SessionOptions = {
      intraOpNumThreads: options.threads ?? 1,
      interOpNumThreads: 1,
      logSeverityLevel: 4,
      executionProviders: ["cpu"],
      // Without VNNI, ONNX Runtime's u8 × s8 kernels add pairs of products in 16 bits, which saturate. This setting makes it exact (and slower).
      ...(options.exact === false ? {} : { extra: { session: { x64quantprecision: "1" } } }),
    };
    session = typeof model === "string" ? await ort.InferenceSession.create(model, settings) : await ort.InferenceSession.create(model, settings);
  } catch (error) {
    const source = options.role === "source";
    return fail("CEC6012", {
      message: source ? "ONNX Runtime cannot load the source model" : "ONNX Runtime cannot load the model that cec wrote",
      why: (error as Error).message.trim(),
      help: source ? "the fault is in the file, or it holds operators that this runtime lacks" : "please report this with the model",
    });
  }
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    async run(feeds) {
      const given: Record<string, InstanceType<Ort["Tensor"]>> = {};
      for (const [name, t] of Object.entries(feeds)) {
        const type = toOrt[t.type] ?? fail("CEC6012", { message: `ONNX Runtime's JavaScript API takes no ${t.type} tensors`, at: { tensor: name } });
        given[name] = new ort.Tensor(type as "float32", t.data as Float32Array, [...t.dims]);
      }
      let results: InferenceSession.ReturnType;
      try {
        results = await session.run(given);
      } catch (error) {
        return fail("CEC6012", { message: "ONNX Runtime cannot run the model", why: (error as Error).message });
      }
      return Object.fromEntries(
        Object.entries(results).map(([name, r]): [string, Tensor] => {
          const type = fromOrt.get(r.type) ?? fail("CEC6012", { message: `output "${name}" has the type ${r.type}` });
          if (type === "string") return [name, { type, dims: r.dims, data: r.data as unknown as string[] }];
          const view = r.data as Uint8Array;
          return [name, fromBytes(type, r.dims, new Uint8Array(view.buffer, view.byteOffset, byteSize(type, countOf(r.dims))))];
        }),
      );
    },
    dispose() {
      void session.release();
    },
  };
}

/** Prepares a graph: exports it, with kept values as further outputs. */
export async function prepareOrt(graph: Graph, keep: readonly string[] = [], options: OrtOptions = {}): Promise<GraphSession> {
  const copy = graph.clone();
  const outputs = new Set(copy.outputs.map((o) => o.name));
  for (const name of keep) {
    const v = copy.value(name);
    if (v !== undefined && v.producer !== null && v.producer.kind !== "constant" && !outputs.has(name)) copy.addOutput(name, v);
  }
  const session = await ortSession(exportOnnx(copy).bytes, options);
  return {
    async run(feeds) {
      const out = await session.run(feeds);
      for (const name of keep) if (out[name] === undefined && feeds[name] !== undefined) out[name] = feeds[name];
      return out;
    },
    dispose: () => session.dispose(),
  };
}

/** Weight of a batch in the moving averages of extremes, as in the native observer. */
const AVERAGE_WEIGHT = 0.1;

/** Streaming statistics in JavaScript, with the histogram rules of the native observer: equal bins of power-of-two width that double when data leaves them. */
export function createStatistics(bins: number, channels = false): { add(t: Tensor): void; read(): TensorStatistics } {
  let perChannel: { min: Float64Array; max: Float64Array; mean: Float64Array; meanSquare: Float64Array; count: Float64Array } | null = null;
  let ragged = !channels;
  let [averageMin, averageMax, averaged] = [0, 0, false];
  let [count, sum, squares, min, max, nanCount, infCount] = [0, 0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
  let counts = new Float64Array(Math.max(2, bins));
  let width = 0;
  let first = 0;
  const cover = (low: number, high: number): void => {
    if (width === 0) {
      width = 2 ** Math.ceil(Math.log2(Math.max(high - low, 2 ** -100) / counts.length));
      first = Math.floor(low / width);
    }
    while (Math.floor(low / width) < first || Math.floor(high / width) >= first + counts.length) {
      // All that was seen so far, this batch included; empty bins around it are no reason to coarsen.
      const [from, to] = [Math.floor(min / width), Math.floor(max / width)];
      if (to - from < counts.length) {
        const moved = new Float64Array(counts.length);
        counts.forEach((c, i) => {
          if (c > 0) moved[first + i - from] = c;
        });
        counts = moved;
        first = from;
        continue;
      }
      const merged = new Float64Array(counts.length);
      const half = Math.floor(first / 2);
      counts.forEach((c, i) => {
        merged[Math.floor((first + i) / 2) - half]! += c;
      });
      counts = merged;
      first = half;
      width *= 2;
    }
  };
  return {
    add(t) {
      const v = toNumbers(t);
      let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const e of v) {
        if (Number.isNaN(e)) nanCount++;
        else if (!Number.isFinite(e)) infCount++;
        else {
          if (e < low) low = e;
          if (e > high) high = e;
          sum += e;
          squares += e * e;
          count++;
        }
      }
      if (low > high) return;
      min = Math.min(min, low);
      max = Math.max(max, high);
      averageMin += (averaged ? AVERAGE_WEIGHT : 1) * (low - averageMin);
      averageMax += (averaged ? AVERAGE_WEIGHT : 1) * (high - averageMax);
      averaged = true;
      if (!ragged) addChannels(t, v);
      cover(low, high);
      for (const e of v) if (Number.isFinite(e)) counts[Math.floor(e / width) - first]!++;
    },
    read() {
      const mean = count === 0 ? 0 : sum / count;
      return {
        count,
        min,
        max,
        mean,
        std: count === 0 ? 0 : Math.sqrt(Math.max(0, squares / count - mean * mean)),
        averageMin,
        averageMax,
        nanCount,
        infCount,
        histogram: { lo: first * width, hi: (first + counts.length) * width, counts },
        ...(ragged || perChannel === null
          ? {}
          : {
              channels: {
                min: perChannel.min.map((e, c) => (perChannel?.count[c] === 0 ? 0 : e)),
                max: perChannel.max.map((e, c) => (perChannel?.count[c] === 0 ? 0 : e)),
                mean: perChannel.mean.map((e, c) => e / Math.max(1, perChannel?.count[c] as number)),
                meanSquare: perChannel.meanSquare.map((e, c) => e / Math.max(1, perChannel?.count[c] as number)),
              },
            }),
      };
    },
  };

  /** Sums until they are read: `mean` and `meanSquare` are divided there. */
  function addChannels(t: Tensor, v: ArrayLike<number>): void {
    const axis = channelAxis(t.dims.length);
    const n = t.dims[axis] ?? 1;
    const inner = t.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
    perChannel ??= {
      min: new Float64Array(n).fill(Number.POSITIVE_INFINITY),
      max: new Float64Array(n).fill(Number.NEGATIVE_INFINITY),
      mean: new Float64Array(n),
      meanSquare: new Float64Array(n),
      count: new Float64Array(n),
    };
    if (perChannel.min.length !== n) {
      ragged = true;
      return;
    }
    for (let i = 0; i < v.length; i++) {
      const e = v[i] as number;
      if (!Number.isFinite(e)) continue;
      const c = Math.floor(i / inner) % n;
      perChannel.min[c] = Math.min(perChannel.min[c] as number, e);
      perChannel.max[c] = Math.max(perChannel.max[c] as number, e);
      perChannel.mean[c]! += e;
      perChannel.meanSquare[c]! += e * e;
      perChannel.count[c]!++;
    }
  }
}

export function ortExecutor(options: OrtOptions = {}): Executor {
  return {
    name: "ort",
    rounding: roundingKernels(options.threads ?? 1),
    prepare: (graph, o = {}) => prepareOrt(graph, o.keep ?? [], options),
    // One pass over the batches: what is held is the kept outputs of one batch and the statistics.
    async observe(graph, values, batches, { bins, channels }) {
      const session = await prepareOrt(graph, values, options);
      try {
        const statistics = new Map(values.map((n) => [n, createStatistics(bins, channels)]));
        for await (const feeds of batches as AsyncIterable<Feeds>) {
          const r = await session.run(feeds);
          for (const n of values) if (r[n] !== undefined) statistics.get(n)?.add(r[n]);
        }
        return new Map([...statistics].map(([n, st]): [string, TensorStatistics] => [n, st.read()]));
      } finally {
        session.dispose();
      }
    },
  };
}
