import { z } from "zod";
import { definePass, fail, type Op, type Value } from "../../compiler/core/index.js";
import { chainOf, type TapeChain } from "./recompute/chain.js";
import { liveBytes } from "./recompute/liveness.js";
import { evenSegments, leastKept, leastPeak, leastTime, type Segment } from "./recompute/placement.js";
import { type Again, scheduleAgain } from "./recompute/schedule.js";
import { readTape } from "./recompute/tape.js";

const MIB = 2 ** 20;
/** Budgets of the chain that are tried. */
const TRIALS = 14;

const options = z
  .object({
    segments: z
      .enum(["sqrt", "optimum"])
      .default("sqrt")
      .describe("`sqrt`: as many segments as the root of the number of stages; `optimum`: the segments with the least memory"),
    every: z.number().int().min(1).optional().describe("segments of that many stages instead"),
    budget: z.number().positive().optional().describe("MiB of working memory instead: the segments with the least further time that stay within"),
    batch: z.number().int().min(1).default(1).describe("samples of a step, where the graph leaves that open"),
  })
  .strict();

interface Outcome {
  readonly segments: readonly Segment[];
  readonly dropped: ReadonlySet<Value>;
  readonly again: readonly Again[];
  readonly peak: number;
}

/**
 * Checkpoints activations (Griewank, Walther 2000; Chen et al. 2016): between forward and backward a lowered training graph keeps some results, the checkpoints, and
 * the ops that make the others run once more, directly before the backward op that reads them. Gradients keep their bits. It is the last pass before the engine: ops run in the order of the
 * graph, so nothing merges the copies or moves them.
 */
export const recomputeActivations = definePass({
  name: "recompute-activations",
  summary: "Keep fewer activations for the backward part: make them again where they are read",
  description:
    "A lowered training graph (add_loss, autodiff, apply_optimizer, then lowering) is cut into segments of stages: stretches between the places where one activation goes on, such as residual blocks. A segment keeps what other segments read, and its other results are made again in the backward part. `sqrt` and `every` are Chen et al. 2016; `optimum` and `budget` choose cuts, and which results of a segment are worth keeping, by dynamic programming. No op runs more than twice; gradients keep their bits.",
  from: "lowered",
  to: "same",
  keeps: "bit-exact",
  options,
  positional: ["segments"],
  statistics: {
    stages: "stages of the graph",
    segments: "segments that are made again",
    ops: "ops that run twice",
    bytesBefore: "most bytes that live at a step, before",
    bytesAfter: "most bytes that live at a step, after",
  },
  run({ graph, options: o, rewrite, count, decide }) {
    const tape = readTape(graph, o.batch);
    const chain = chainOf(tape);
    const outcome = (segments: readonly Segment[]): Outcome => {
      const dropped = chain.dropped(segments);
      const again = scheduleAgain(tape, dropped);
      return { segments, dropped, again, peak: peakOf(liveBytes(graph, tape, dropped, again)) };
    };
    count("bytesBefore", peakOf(liveBytes(graph, tape, new Set(), [])));
    const { dropped, again, segments, peak } = choose(chain, o, outcome);
    const second = new Map<Value, Value>();
    for (const { before, ops } of again) {
      rewrite.patch(before, `made again for ${before.kind} "${before.name || before.outputs[0]?.name}"`, (edit) => {
        for (const op of ops) {
          const copy = edit.insert(
            op.kind,
            op.inputs.map((v) => (v === null ? null : (second.get(v) ?? v))),
            {
              attrs: op.attrs,
              types: op.outputs.map((v) => v.type),
              outputNames: op.outputs.map((v) => `${v.name}.again`),
              name: `${op.name || op.outputs[0]?.name}.again`,
            },
          );
          op.outputs.forEach((v, i) => {
            if (dropped.has(v)) second.set(v, copy.outputs[i] as Value);
          });
        }
      });
      count("ops", ops.length);
    }
    rewrite.patch(null, "the backward part reads what was made again", (edit) => {
      for (const op of tape.backward)
        op.inputs.forEach((v, i) => {
          const made = v === null ? undefined : second.get(v);
          if (made !== undefined) edit.setInput(op, i, made);
        });
    });
    count("stages", chain.stages);
    count("bytesAfter", peak);
    for (const s of segments.filter((s) => s.mode > 0)) {
      count("segments");
      const first = tape.forward[chain.starts[s.from] as number] as Op;
      decide(first, "made again", `segment of ${s.to - s.from} stages${s.mode === chain.modes - 1 ? "" : ", its expensive results kept"}`);
    }
  },
});

const peakOf = (live: readonly number[]): number => live.reduce((a, b) => Math.max(a, b), 0);

type Try = (segments: readonly Segment[]) => Outcome;

function choose(chain: TapeChain, o: z.infer<typeof options>, outcome: Try): Outcome {
  const even = (length: number): Outcome => outcome(evenSegments(chain.stages, length, chain.modes - 1));
  if (o.budget !== undefined) return withinBudget(chain, o.budget * MIB, outcome);
  if (o.every !== undefined) return even(o.every);
  if (o.segments === "sqrt") return even(Math.ceil(Math.sqrt(chain.stages)));
  const least = smallest(chain, outcome);
  return quickest(chain, least.peak, least, outcome);
}

/*
 * The chain's model leaves out gradients, and what ops need beside what is kept. So plans are made for several budgets of the chain, and judged by what lives in the
 * whole graph.
 */

/** The plan with the least peak. */
function smallest(chain: TapeChain, outcome: Try): Outcome {
  const [low, high] = [leastPeak(chain), chain.cost(0, chain.stages, 0).full];
  let best: Outcome | null = null;
  for (let i = 0; i < TRIALS; i++) {
    const segments = leastKept(chain, low * (high / low) ** (i / TRIALS));
    const found = segments === null ? null : outcome(segments);
    if (found !== null && (best === null || found.peak < best.peak)) best = found;
  }
  return best as Outcome;
}

/** The plan that takes the least time with a peak of at most `peak` bytes, as `found` has. */
function quickest(chain: TapeChain, peak: number, found: Outcome, outcome: Try): Outcome {
  const time = (p: Outcome): number => p.segments.reduce((n, s) => n + chain.cost(s.from, s.to, s.mode).time, 0);
  let [low, high, best] = [leastPeak(chain), chain.cost(0, chain.stages, 0).full, found];
  for (let i = 0; i < TRIALS; i++) {
    const middle = (low + high) / 2;
    const next = outcome(leastTime(chain, middle) as readonly Segment[]);
    if (next.peak > peak) high = middle;
    else low = middle;
    if (next.peak <= peak && time(next) < time(best)) best = next;
  }
  return best;
}

function withinBudget(chain: TapeChain, budget: number, outcome: Try): Outcome {
  const all = outcome([{ from: 0, to: chain.stages, mode: 0 }]);
  if (all.peak <= budget) return all;
  const least = smallest(chain, outcome);
  if (least.peak > budget)
    fail("CEC4018", {
      message: `a training step does not fit into ${budget / MIB} MiB`,
      why: `the least is ${Math.ceil((10 * least.peak) / MIB) / 10} MiB`,
      help: "give a larger budget or a smaller batch",
    });
  return quickest(chain, budget, least, outcome);
}
