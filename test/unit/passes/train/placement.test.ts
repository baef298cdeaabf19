/** Segments of a chain against all segments there are. */
import { expect, it } from "vitest";
import { randomFrom } from "../../../../compiler/core/index.js";
import { type Chain, evenSegments, leastKept, leastPeak, leastTime, type Segment } from "../../../../passes/train/recompute/placement.js";

const integer = (random: () => number, most: number): number => Math.floor(random() * (most + 1));

/** Stages with bytes that live to the backward part of their segment only, and bytes that other stages read; each mode keeps a share of the former. */
function chainOf(seed: number, stages: number, modes: number): Chain {
  const random = randomFrom(seed);
  const rows = Array.from({ length: stages }, () => ({
    inner: 1 + integer(random, 20),
    border: 1 + integer(random, 5),
    time: 1 + integer(random, 9),
  }));
  return {
    stages,
    modes,
    cost(from, to, mode) {
      const inside = rows.slice(from, to);
      const sum = (f: (r: (typeof rows)[number]) => number): number => inside.reduce((n, r) => n + f(r), 0);
      const border = rows[to - 1]?.border ?? 0;
      const share = mode / Math.max(1, modes - 1);
      return {
        kept: border + sum((r) => Math.floor(r.inner * (1 - share))),
        full: border + sum((r) => r.inner),
        time: mode === 0 ? 0 : sum((r) => Math.ceil(r.time * share)),
      };
    },
  };
}

function* allSegments(chain: Chain, from = 0): Generator<Segment[]> {
  if (from === chain.stages) yield [];
  for (let to = from + 1; to <= chain.stages; to++)
    for (let mode = 0; mode < chain.modes; mode++) for (const rest of allSegments(chain, to)) yield [{ from, to, mode }, ...rest];
}

/** Walks the step: forward fills up what is kept, backward empties it. */
function measure(chain: Chain, segments: readonly Segment[]): { peak: number; time: number; kept: number } {
  const costs = segments.map((s) => chain.cost(s.from, s.to, s.mode));
  let kept = costs.reduce((n, c) => n + c.kept, 0);
  const before = kept - (costs.at(-1)?.kept ?? 0);
  let [peak, time] = [kept, 0];
  for (const c of [...costs].reverse()) {
    peak = Math.max(peak, kept - c.kept + c.full);
    kept -= c.kept;
    time += c.time;
  }
  return { peak, time, kept: before };
}

it("the least peak, and the least time and the fewest kept bytes within any budget, are those of all segments there are", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const chain = chainOf(seed, 1 + (seed % 6), 1 + (seed % 3));
    const all = [...allSegments(chain)].map((s) => measure(chain, s));
    const least = Math.min(...all.map((m) => m.peak));
    expect(leastPeak(chain)).toBe(least);
    for (const budget of [least - 1, least, least + 3, least * 1.5, least * 3]) {
      const fitting = all.filter((m) => m.peak <= budget);
      const found = leastTime(chain, budget);
      expect(found === null).toBe(fitting.length === 0);
      const few = leastKept(chain, budget);
      expect(few === null).toBe(fitting.length === 0);
      if (found === null) continue;
      expect(found.map((s) => s.from)).toEqual([0, ...found.slice(0, -1).map((s) => s.to)]);
      expect(found.at(-1)?.to).toBe(chain.stages);
      const { peak, time } = measure(chain, found);
      expect(peak).toBeLessThanOrEqual(budget);
      expect(time).toBe(Math.min(...fitting.map((m) => m.time)));
      expect(measure(chain, few as Segment[])).toMatchObject({ kept: Math.min(...fitting.map((m) => m.kept)) });
      expect(measure(chain, few as Segment[]).peak).toBeLessThanOrEqual(budget);
    }
  }
});

it("even segments cover the chain, and the last keeps everything", () => {
  expect(evenSegments(7, 3, 2)).toEqual([
    { from: 0, to: 3, mode: 2 },
    { from: 3, to: 6, mode: 2 },
    { from: 6, to: 7, mode: 0 },
  ]);
  expect(evenSegments(2, 5, 1)).toEqual([{ from: 0, to: 2, mode: 0 }]);
});
