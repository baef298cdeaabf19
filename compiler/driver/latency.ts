/** Latency of sessions beside each other: alternating rounds in one run, so that a busy machine slows all alike. */
import { countOf, type Feeds, type Graph, type GraphSession, isFloat, normalFrom, randomFrom, type Tensor, zeros } from "../core/index.js";

export interface Latency {
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly runs: number;
}

export interface LatencyOptions {
  /** Time for each session, after warm-up. Default 1,000 ms. */
  readonly budgetMs?: number;
  readonly minRuns?: number;
  readonly maxRuns?: number;
}

const WARM_UP = 3;

export async function measureLatency(
  sessions: Readonly<Record<string, { readonly session: GraphSession; readonly feeds: Feeds }>>,
  { budgetMs = 1000, minRuns = 7, maxRuns = 500 }: LatencyOptions = {},
): Promise<Record<string, Latency>> {
  const entries = Object.entries(sessions);
  const times = new Map(entries.map(([n]) => [n, [] as number[]]));
  for (const [, { session, feeds }] of entries) for (let i = 0; i < WARM_UP; i++) await session.run(feeds);
  const started = performance.now();
  for (let round = 0; round < maxRuns; round++) {
    if (round >= minRuns && performance.now() - started > budgetMs * entries.length) break;
    for (const [name, { session, feeds }] of entries) {
      const t = performance.now();
      await session.run(feeds);
      times.get(name)?.push(performance.now() - t);
    }
  }
  const at = (sorted: readonly number[], q: number): number => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
  return Object.fromEntries(
    [...times].map(([n, t]): [string, Latency] => {
      const sorted = [...t].sort((a, b) => a - b);
      return [n, { medianMs: at(sorted, 0.5), p90Ms: at(sorted, 0.9), runs: t.length }];
    }),
  );
}

/**
 * Inputs of the right types and shapes: normal values for floats, zeros for the rest.
 * @param batch for the first axis where it is a symbol; other symbols become 1
 */
export function syntheticFeeds(graph: Graph, batch = 1, seed = 0): Feeds {
  const random = randomFrom(seed);
  return Object.fromEntries(
    graph.inputs.flatMap((v): [string, Tensor][] => {
      if (v.type.kind !== "tensor") return [];
      const dims = (v.type.shape ?? []).map((d, i) => (typeof d === "number" ? d : i === 0 ? batch : 1));
      const t = zeros(v.type.elem, dims);
      if (isFloat(v.type.elem) && (v.type.elem === "f32" || v.type.elem === "f64")) {
        const data = t.data as Float32Array;
        for (let i = 0; i < countOf(dims); i++) data[i] = normalFrom(random);
      }
      return [[v.name, t]];
    }),
  );
}
