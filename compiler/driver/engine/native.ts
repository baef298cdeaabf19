/** The native engine as an executor: lowers a copy of the graph, writes it as a program, runs it. */

import { type LowerOptions, lowerPipeline } from "../../../passes/lower/index.js";
import {
  createObserver,
  createSession,
  loadProgram,
  type NativeSession,
  type OpProfile,
  roundingKernels,
  serialize,
} from "../../../runtime-native/ts/index.js";
import {
  channelAxis,
  type Executor,
  type Feeds,
  type Graph,
  type GraphSession,
  runPipeline,
  type Tensor,
  type TensorStatistics,
  type Value,
} from "../../core/index.js";

export interface NativeOptions {
  readonly threads?: number;
  readonly profile?: boolean;
}

export interface LoweredGraph {
  readonly graph: Graph;
  /** Value of the lowered graph that holds a kept value of the source, in whatever layout. */
  readonly kept: ReadonlyMap<string, string>;
  /** Of these, in a graph that is only observed, the values whose channels stand last. */
  readonly channelsLast: ReadonlySet<string>;
}

/** Names under which kept values pass through lowering as outputs. */
const KEEP = "\u0000keep:";

/**
 * Lowers a copy. Values in `keep` stay computed; they are found again in `kept`.
 * @param observed kept values are only read for statistics: their layout does not matter, and they are no outputs of the program
 */
export async function lowerGraph(source: Graph, keep: readonly string[] = [], observed = false, options: LowerOptions = {}): Promise<LoweredGraph> {
  const graph = source.clone();
  const outputs = graph.outputs.length;
  const inputs = new Set(graph.inputs.map((v) => v.name));
  for (const name of keep) {
    const v = graph.value(name);
    if (v !== undefined && v.producer !== null && v.producer.kind !== "constant") graph.addOutput(KEEP + name, v);
  }
  for (const op of graph.ops) if (Object.keys(op.annotations).length > 0) op.annotations = {};
  await runPipeline(graph, lowerPipeline(graph.level, options), { verify: "off" });
  const kept = new Map<string, string>(keep.filter((n) => inputs.has(n)).map((n) => [n, n]));
  const channelsLast = new Set<string>();
  for (const o of graph.outputs.slice(outputs)) {
    const [name, native] = [o.name.slice(KEEP.length), beforeTranspose(o.value)];
    kept.set(name, observed ? native.name : o.name);
    const rank = o.value.type.kind === "tensor" ? (o.value.type.shape?.length ?? 0) : 0;
    if (native !== o.value || channelAxis(rank) === rank - 1) channelsLast.add(name);
  }
  if (observed) {
    graph.truncateOutputs(outputs);
    for (const op of [...graph.ops].reverse()) if (op.kind === "transpose" && !op.outputs.some((v) => graph.isUsed(v))) graph.removeOp(op);
  }
  return { graph, kept, channelsLast };
}

/** The value in its native order, where a transpose at the edge only puts it channels first. */
const beforeTranspose = (v: Value): Value => (v.producer?.kind === "transpose" && v.producer.inputs[0]?.producer != null ? v.producer.inputs[0] : v);

export interface NativeGraphSession extends GraphSession {
  profile(): OpProfile[];
  readonly arenaBytes: () => number;
}

/** Prepares a graph of any level below lowered. Throws CEC6002 / CEC6003 where the engine lacks an op. */
export async function prepareNative(graph: Graph, keep: readonly string[] = [], options: NativeOptions = {}): Promise<NativeGraphSession> {
  const lowered =
    graph.level === "lowered" ? { graph, kept: new Map<string, string>(), channelsLast: new Set<string>() } : await lowerGraph(graph, keep);
  const session: NativeSession = createSession(serialize(lowered.graph), { threads: options.threads ?? 1, profile: options.profile ?? false });
  return {
    async run(feeds) {
      const out: Record<string, Tensor> = {};
      for (const [name, t] of Object.entries(await session.run(feeds))) out[name.startsWith(KEEP) ? name.slice(KEEP.length) : name] = t;
      for (const name of keep) if (out[name] === undefined && feeds[name] !== undefined) out[name] = feeds[name];
      return out;
    },
    profile: () => session.profile(),
    arenaBytes: () => session.arenaBytes(),
    dispose: () => session.dispose(),
  };
}

const PROFILE_RUNS = 15;

/** The least time of each op over several runs: what other processes add is never negative. */
async function leastTimes(session: NativeGraphSession, feeds: Feeds): Promise<ReadonlyMap<string, number>> {
  const least = new Map<string, number>();
  let before = new Map<string, number>();
  for (let run = 0; run <= PROFILE_RUNS; run++) {
    await session.run(feeds);
    const now = new Map<string, number>();
    for (const p of session.profile()) now.set(`${p.kind} ${p.name}`, (now.get(`${p.kind} ${p.name}`) ?? 0) + p.nanoseconds);
    // The first run warms up.
    if (run > 0) for (const [key, ns] of now) least.set(key, Math.min(least.get(key) ?? Number.POSITIVE_INFINITY, ns - (before.get(key) ?? 0)));
    before = now;
  }
  return least;
}

/** An executor on the native engine. */
export function nativeExecutor(options: NativeOptions = {}): Executor {
  return {
    name: "native",
    rounding: roundingKernels(options.threads ?? 1),
    prepare: (graph, o = {}) => prepareNative(graph, o.keep ?? [], options),
    async profile(graph, feeds) {
      const session = await prepareNative(graph, [], { ...options, profile: true });
      try {
        return await leastTimes(session, feeds);
      } finally {
        session.dispose();
      }
    },
    async observe(graph, values, batches, observe) {
      const { graph: lowered, kept, channelsLast } = await lowerGraph(graph, values, true);
      const program = loadProgram(serialize(lowered));
      const session = createSession(program, { threads: options.threads ?? 1 });
      try {
        const observer = createObserver(session, [...new Set(kept.values())], { bins: observe.bins, perChannel: observe.channels ?? false });
        for await (const feeds of batches as AsyncIterable<Feeds>) await session.observe(feeds, observer);
        const read = observer.read();
        const out = new Map<string, TensorStatistics>();
        for (const [name, from] of kept) {
          const s = read[from];
          if (s === undefined) continue;
          const { channelMin: min, channelMax: max, channelMean: mean, channelMeanSquare: meanSquare, ...rest } = s;
          const whole = min !== undefined && max !== undefined && mean !== undefined && meanSquare !== undefined;
          out.set(name, whole && channelsLast.has(name) ? { ...rest, channels: { min, max, mean, meanSquare } } : rest);
        }
        return out;
      } finally {
        session.dispose();
      }
    },
  };
}
