/**
 * Where a chain of stages is cut into segments, and how much of each segment is kept: exact, by dynamic programming over Pareto fronts.
 *
 * The backward part of a segment runs while the kept bytes of all segments before it live, and all bytes of its own (`full`). What it did not keep is made again
 * then (`time`). Segments behind it are done with.
 */

export interface SegmentCost {
  /** Bytes that live from forward to backward. */
  readonly kept: number;
  /** Bytes that its backward part needs at once, the kept ones among them. */
  readonly full: number;
  readonly time: number;
}

export interface Chain {
  readonly stages: number;
  /** Ways to treat a segment: how much of it is kept. */
  readonly modes: number;
  /** Cost of the stages `from` … `to - 1` as one segment. */
  cost(from: number, to: number, mode: number): SegmentCost;
}

export interface Segment {
  readonly from: number;
  readonly to: number;
  readonly mode: number;
}

/** Partial plans beyond this number at one place are thinned out: the result may then miss the optimum, never the budget. */
const FRONT = 512;

interface Partial {
  readonly kept: number;
  /** What is minimized. */
  readonly value: number;
  readonly last: Segment | null;
  readonly before: Partial | null;
}

/** The best plan of a chain: `next` gives the value of a plan that goes on with a segment, or null where it may not. */
function plan(chain: Chain, next: (so: Partial, e: SegmentCost) => number | null): Partial | null {
  const fronts: Partial[][] = [[{ kept: 0, value: 0, last: null, before: null }]];
  for (let to = 1; to <= chain.stages; to++) {
    const found: Partial[] = [];
    for (let from = 0; from < to; from++) {
      for (let mode = 0; mode < chain.modes; mode++) {
        const e = chain.cost(from, to, mode);
        for (const so of fronts[from] as Partial[]) {
          const value = next(so, e);
          if (value !== null) found.push({ kept: so.kept + e.kept, value, last: { from, to, mode }, before: so });
        }
      }
    }
    fronts.push(pareto(found));
  }
  return (fronts[chain.stages] as Partial[]).reduce<Partial | null>((best, p) => (best === null || p.value < best.value ? p : best), null);
}

/** Plans that no other one beats in both kept bytes and value, by ascending bytes. */
function pareto(plans: Partial[]): Partial[] {
  plans.sort((a, b) => a.kept - b.kept || a.value - b.value);
  const front: Partial[] = [];
  for (const p of plans) if (front.length === 0 || p.value < (front.at(-1) as Partial).value) front.push(p);
  if (front.length <= FRONT) return front;
  return Array.from({ length: FRONT }, (_, i) => front[Math.round((i * (front.length - 1)) / (FRONT - 1))] as Partial);
}

function segmentsOf(end: Partial): Segment[] {
  const segments: Segment[] = [];
  for (let p: Partial | null = end; p?.last != null; p = p.before) segments.push(p.last);
  return segments.reverse();
}

/** The segments that take the least time among those that never hold more than `budget` bytes; null where there are none. */
export function leastTime(chain: Chain, budget: number): readonly Segment[] | null {
  const end = plan(chain, (so, e) => (so.kept + e.full <= budget ? so.value + e.time : null));
  return end === null ? null : segmentsOf(end);
}

/** The least bytes that any segments hold at their fullest moment. */
export const leastPeak = (chain: Chain): number => plan(chain, (so, e) => Math.max(so.value, so.kept + e.full))?.value ?? 0;

/** The segments that keep the fewest bytes among those that never hold more than `budget`; null where there are none. Behind the last one nothing comes: it keeps everything. */
export function leastKept(chain: Chain, budget: number): readonly Segment[] | null {
  const end = plan(chain, (so, e) => (so.kept + e.full <= budget ? so.kept + e.kept : null));
  return end === null ? null : segmentsOf(end).map((s) => (s.to === chain.stages ? { ...s, mode: 0 } : s));
}

/** Segments of `length` stages; all but the last are treated by `mode`, the last keeps everything (mode 0), as its backward part follows at once. */
export function evenSegments(stages: number, length: number, mode: number): readonly Segment[] {
  const count = Math.ceil(stages / length);
  return Array.from({ length: count }, (_, i) => ({ from: i * length, to: Math.min(stages, (i + 1) * length), mode: i === count - 1 ? 0 : mode }));
}
