/** What watches a pipeline: numbered dumps, reproducers, numeric checks. Files are written through an injected function, so the core does no I/O of its own. */
import { type Diagnostic, fail } from "../diagnostics/index.js";
import { packBlobs } from "../ir/blobs.js";
import type { Graph } from "../ir/graph.js";
import { blobsOf, printGraph } from "../ir/print.js";
import { type Tensor, toNumbers } from "../ir/tensor.js";
import { elementTypes } from "../ir/types.js";
import type { Keeps } from "./define.js";
import type { CalibrationSource, Executor, Feeds } from "./executor.js";
import type { Instrument, PassStep } from "./manager.js";

/** Writes one file of a dump or reproducer folder. */
export type WriteFile = (name: string, data: string | Uint8Array) => void;

/** `all`: after every pass; `changed`: after passes that changed the graph; otherwise the name of one pass. */
export function dumpInstrument(which: "all" | "changed" | string, write: WriteFile): Instrument {
  let number = 0;
  let started = false;
  const file = (name: string, graph: Graph): void => write(`${String(number++).padStart(4, "0")}-${name}.cir`, printGraph(graph));
  const snake = which.replaceAll("_", "-");
  return {
    name: "dump",
    before(graph) {
      if (!started) file("source", graph);
      started = true;
    },
    after(graph, step, changed) {
      if (which === "all" || (which === "changed" && changed) || snake === step.pass.name) file(`after-${step.pass.name}`, graph);
    },
  };
}

/** Keeps the graph before each pass and writes it, with its blobs and the rest of the pipeline, when a pass fails: `cec opt` replays it. */
export function reproducerInstrument(write: WriteFile): Instrument {
  let copy: Graph | null = null;
  return {
    name: "reproducer",
    before(graph) {
      copy = graph.clone();
    },
    failed(_, step) {
      if (copy === null) return undefined;
      const header = `// reproducer: run with: cec opt reproducer.cir --pass '${step.pass.name} ${JSON.stringify(step.options)}'\n`;
      write("reproducer.cir", printGraph(copy).replace("cir 1\n", `cir 1\n${header}`));
      write("reproducer.blobs", packBlobs(blobsOf(copy)));
      return `a reproducer was written: reproducer.cir (replay with cec opt reproducer.cir --pass '${step.pass.name}')`;
    },
  };
}

/**
 * How far outputs may move in a pass that promises to keep values: |a - b| <= absolute + relative * max|a|, per tensor. `values` allows for f32 sums in
 * another order over deep networks (folding changes every product); `bit-exact` allows nothing.
 */
export const numericTolerance: Readonly<Record<Exclude<Keeps, "lossy">, { readonly absolute: number; readonly relative: number }>> = {
  "bit-exact": { absolute: 0, relative: 0 },
  values: { absolute: 1e-5, relative: 1e-3 },
};

/** Greatest difference of two tensors and the tolerance it is held against; NaN in one only counts as infinite. */
export function compareTensors(a: Tensor, b: Tensor, keeps: Exclude<Keeps, "lossy">): { readonly difference: number; readonly allowed: number } {
  if (a.dims.join() !== b.dims.join() || a.type !== b.type) return { difference: Number.POSITIVE_INFINITY, allowed: 0 };
  if (a.type === "string") return { difference: a.data.every((v, i) => v === b.data[i]) ? 0 : Number.POSITIVE_INFINITY, allowed: 0 };
  const [x, y] = [toNumbers(a), toNumbers(b)];
  let [difference, top] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const [p, q] = [x[i] as number, y[i] as number];
    if (Object.is(p, q) || p === q) {
      if (Number.isFinite(p)) top = Math.max(top, Math.abs(p));
      continue;
    }
    if (!Number.isFinite(p) || !Number.isFinite(q)) return { difference: Number.POSITIVE_INFINITY, allowed: 0 };
    top = Math.max(top, Math.abs(p));
    difference = Math.max(difference, Math.abs(p - q));
  }
  const { absolute, relative } = elementTypes[a.type].kind === "float" ? numericTolerance[keeps] : numericTolerance["bit-exact"];
  return { difference, allowed: absolute + relative * top };
}

/**
 * Runs the graph before and after each pass that promises to keep values, on calibration samples, and names the first op, in graph order, whose value
 * differs and that both graphs know by name. Source of the method: XLA's and tract's per-pass checks.
 * @param samples how many samples to run
 */
export function numericInstrument(executor: Executor, calibration: CalibrationSource, samples = 4): Instrument {
  let copy: Graph | null = null;
  let feeds: Feeds[] | null = null;
  const load = async (): Promise<Feeds[]> => {
    if (feeds === null) {
      feeds = [];
      for await (const b of calibration.batches({ batch: samples, limit: samples })) feeds.push(b);
    }
    return feeds;
  };
  const run = async (graph: Graph, keep: readonly string[], batch: Feeds): Promise<Record<string, Tensor>> => {
    const session = await executor.prepare(graph, { keep });
    try {
      return await session.run(batch);
    } finally {
      session.dispose();
    }
  };
  return {
    name: "numeric",
    before(graph, step) {
      copy = step.pass.keeps === "lossy" ? null : graph.clone();
    },
    async after(graph, step, changed) {
      if (copy === null || !changed || step.pass.keeps === "lossy") return;
      const keeps = step.pass.keeps;
      for (const batch of await load()) {
        const [before, after] = [await run(copy, [], batch), await run(graph, [], batch)];
        const bad = graph.outputs.find((o) => {
          const [a, b] = [before[o.name], after[o.name]];
          if (a === undefined || b === undefined) return true;
          const { difference, allowed } = compareTensors(a, b, keeps);
          return difference > allowed;
        });
        if (bad !== undefined) await blame(copy, graph, batch, step, keeps, bad.name, run);
      }
    },
  };
}

async function blame(
  before: Graph,
  after: Graph,
  batch: Feeds,
  step: PassStep,
  keeps: Exclude<Keeps, "lossy">,
  output: string,
  run: (graph: Graph, keep: readonly string[], batch: Feeds) => Promise<Record<string, Tensor>>,
): Promise<never> {
  const shared = after.ops
    .filter((op) => op.kind !== "constant")
    .flatMap((op) => op.outputs.map((v) => v.name).filter((n) => before.value(n) !== undefined && before.value(n)?.producer?.kind !== "constant"));
  const [a, b] = [await run(before, shared, batch), await run(after, shared, batch)];
  let first: string | undefined;
  let detail = "";
  for (const name of [...shared, output]) {
    const [x, y] = [a[name], b[name]];
    if (x === undefined || y === undefined) continue;
    const { difference, allowed } = compareTensors(x, y, keeps);
    if (difference > allowed) {
      first = name;
      detail = `greatest difference ${difference.toPrecision(3)}, allowed ${allowed.toPrecision(3)}`;
      break;
    }
  }
  const op = first === undefined ? undefined : after.value(first)?.producer;
  const at: NonNullable<Diagnostic["at"]> = { node: op?.name || (first ?? output), tensor: first ?? output };
  return fail("CEC4005", {
    message: `pass ${step.pass.name} promises to keep values (${keeps}) and changes output "${output}"`,
    why:
      first === undefined
        ? "no inner value that both graphs know differs"
        : `the first value that differs is %${first}${op == null ? "" : ` of ${op.kind} "${op.name}"`}: ${detail}`,
    at,
    help: "`cec bisect` finds the patch; leave the pass out of the plan until it is mended",
  });
}
