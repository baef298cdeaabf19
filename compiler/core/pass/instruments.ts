/** What watches a pipeline: numbered dumps, reproducers, numeric checks. Files are written through an injected function, so the core does no I/O of its own. */
import { fail } from "../diagnostics/index.js";
import { packBlobs } from "../ir/blobs.js";
import type { Graph, Json, Op } from "../ir/graph.js";
import { blobsOf, formatJson, printGraph } from "../ir/print.js";
import type { Tensor } from "../ir/tensor.js";
import type { Keeps } from "./define.js";
import type { CalibrationSource, Executor, Feeds } from "./executor.js";
import type { Instrument } from "./manager.js";
import type { PassStep } from "./steps.js";
import { compareTensors } from "./tolerance.js";

/** Writes one file of a dump or reproducer folder. */
export type WriteFile = (name: string, data: string | Uint8Array) => void;

/**
 * Writes `0000-source.cir`, `0001-after-fold-batch-norm.cir`, … The number counts passes, so that dumps of two runs stand side by side.
 * @param which `all`: after every pass; `changed`: after passes that changed the graph; otherwise names of passes, separated by commas
 */
export function dumpInstrument(which: "all" | "changed" | (string & {}), write: WriteFile): Instrument {
  const wanted = new Set(which.split(",").map((n) => n.trim().replaceAll("_", "-")));
  let number = 0;
  const file = (name: string, graph: Graph): void => write(`${String(number).padStart(4, "0")}-${name}.cir`, printGraph(graph));
  return {
    name: "dump",
    before(graph) {
      if (number === 0) file("source", graph);
      number++;
    },
    after(graph, step, changed) {
      if (which === "all" || (which === "changed" && changed) || wanted.has(step.pass.name.replaceAll("_", "-"))) {
        file(`after-${step.pass.name.replace(/[^A-Za-z0-9_.-]/g, "_")}`, graph);
      }
    },
  };
}

/** Options of a pass as a RUN line gives them; only JSON can be there, as options come from plans. */
const optionsText = (options: unknown): string => {
  const json = JSON.parse(JSON.stringify(options ?? {})) as Json;
  const text = formatJson(json);
  return text === "{}" ? "" : ` ${text}`;
};

/** More bytes than this are not copied into a reproducer: the header then says where constants must come from. */
const REPRODUCER_BYTES = 1 << 29;

export interface ReproducerOptions {
  /** Seed of the pipeline, for the header. */
  readonly seed?: number;
  /** File name without extension. Default `reproducer`. */
  readonly name?: string;
}

/**
 * Keeps the graph before each pass, and writes it when the pass fails: `NAME.cir`, whose header holds the pass with its options (`// RUN:`), its place and
 * the seed, and `NAME.blobs` with the constants. `cec opt NAME.cir` replays it.
 */
export function reproducerInstrument(write: WriteFile, options: ReproducerOptions = {}): Instrument {
  const { name = "reproducer", seed = 0 } = options;
  let copy: Graph | null = null;
  return {
    name: "reproducer",
    before(graph) {
      copy ??= graph.clone();
    },
    after(_graph, _step, changed) {
      if (changed) copy = null;
    },
    failed(_, step, error) {
      if (copy === null) return undefined;
      const blobs = blobsOf(copy);
      const bytes = [...blobs.values()].reduce((n, b) => n + b.byteLength, 0);
      const stored = bytes <= REPRODUCER_BYTES;
      const header = [
        `RUN: ${step.pass.name}${optionsText(step.options)}`,
        `index: ${step.index}`,
        `seed: ${seed}`,
        `blobs: ${stored ? `${name}.blobs` : `${bytes} bytes, not stored: give the model that the constants come from`}`,
        `failure: ${error instanceof Error ? error.message : String(error)}`,
      ];
      write(`${name}.cir`, printGraph(copy, { header }));
      if (stored) write(`${name}.blobs`, packBlobs(blobs));
      return `a reproducer was written: ${name}.cir (replay it with \`cec opt ${name}.cir\`)`;
    },
  };
}

type Run = (graph: Graph, keep: readonly string[], batch: Feeds) => Promise<Record<string, Tensor>>;

/**
 * Runs the graph before and after each pass that promises to keep values, on calibration samples. The graph's outputs decide (tolerances: `tolerance.ts`);
 * where they differ, all values that both graphs know by name are compared, and the first op in graph order whose result differs is named.
 * Passes that give level `lowered` are not checked here: executors take graphs below it, and lower themselves.
 * @param samples how many samples to run
 * @throws CecError CEC4005
 */
export function numericInstrument(executor: Executor, calibration: CalibrationSource, samples = 4): Instrument {
  let copy: Graph | null = null;
  let feeds: Promise<Feeds[]> | null = null;
  /** Outputs of the graph as it stands after the last pass that was checked. */
  let known: Record<string, Tensor>[] | null = null;
  const load = async (): Promise<Feeds[]> => {
    const all: Feeds[] = [];
    for await (const b of calibration.batches({ batch: samples, limit: samples })) all.push(b);
    if (all.length === 0) fail("CEC4006", { message: "`--verify=numeric` found no sample in the calibration data" });
    return all;
  };
  const run: Run = async (graph, keep, batch) => {
    const session = await executor.prepare(asFloat(graph), { keep });
    try {
      return await session.run(
        Object.fromEntries(graph.inputs.flatMap((v) => (batch[v.name] === undefined ? [] : [[v.name, batch[v.name] as Tensor]]))),
      );
    } finally {
      session.dispose();
    }
  };
  return {
    name: "numeric",
    before(graph, step) {
      copy = step.pass.keeps === "lossy" || step.pass.to === "lowered" || graph.level === "lowered" ? null : graph.clone();
    },
    async after(graph, step, changed) {
      const { keeps } = step.pass;
      if (!changed) return;
      if (copy === null || keeps === "lossy") {
        known = null;
        return;
      }
      feeds ??= load();
      const next: Record<string, Tensor>[] = [];
      for (const [i, batch] of (await feeds).entries()) {
        const before = known?.[i] ?? (await run(copy, [], batch));
        const after = await run(graph, [], batch);
        next.push(after);
        const bad = copy.outputs.find(({ name }) => {
          const [a, b] = [before[name], after[name]];
          return a === undefined || b === undefined || !compareTensors(a, b, keeps).same;
        });
        if (bad !== undefined) await blame(copy, graph, batch, step, keeps, bad.name, run);
      }
      known = next;
    },
  };
}

/** An annotated graph computes what the float graph without its annotations does; executors may fuse, and so round, the levels differently. */
function asFloat(graph: Graph): Graph {
  if (graph.level !== "annotated") return graph;
  const copy = graph.clone();
  for (const op of copy.ops) op.annotations = {};
  copy.level = "float";
  return copy;
}

/** Tensors that ops other than constants give and that reach an output, in order of the graph: a pass may leave dead ops for a later one to remove. */
function namedValues(graph: Graph): string[] {
  const live = new Set<Op>(graph.outputs.flatMap((o) => (o.value.producer === null ? [] : [o.value.producer])));
  for (const op of [...graph.ops].reverse()) {
    if (live.has(op)) for (const v of op.inputs) if (v?.producer != null) live.add(v.producer);
  }
  return graph.ops
    .filter((op) => op.kind !== "constant" && live.has(op))
    .flatMap((op) => op.outputs.filter((v) => v.type.kind === "tensor").map((v) => v.name));
}

/**
 * Names the first op that is at fault. A value that keeps its name may rightly stand for another (a folded convolution now gives what the
 * normalization after it gave), so a value is at fault only when it equals neither its own old value nor a later one.
 */
async function blame(
  before: Graph,
  after: Graph,
  batch: Feeds,
  step: PassStep,
  keeps: Exclude<Keeps, "lossy">,
  output: string,
  run: Run,
): Promise<never> {
  const help = "`cec bisect` finds the patch; leave the pass out of the plan until it is mended";
  const promise = `pass ${step.pass.name} promises to keep values (${keeps}) and changes output "${output}"`;
  const order = namedValues(before);
  const a = await run(before, order, batch);
  const names = namedValues(after).filter((n) => a[n] !== undefined);
  const b = await run(after, names, batch);
  const standsForLater = (key: string, y: Tensor): boolean =>
    order.slice(order.indexOf(key) + 1).some((n) => a[n] !== undefined && compareTensors(a[n], y, keeps).same);
  const last = after.outputs.find((o) => o.name === output)?.value;
  for (const { key, value } of [...names.map((n) => ({ key: n, value: after.value(n) })), { key: output, value: last }]) {
    const [x, y] = [a[key], b[key]];
    if (x === undefined || y === undefined) continue;
    const c = compareTensors(x, y, keeps);
    if (c.same || (key !== output && standsForLater(key, y))) continue;
    const op = value?.producer;
    const node = op?.name || (value?.name ?? output);
    fail("CEC4005", {
      message: `${promise}; the first op that differs is ${op?.kind ?? "input"} "${node}"`,
      why: `the results differ by up to ${c.difference.toPrecision(3)}, allowed are ${c.allowed.toPrecision(3)}`,
      at: { node, tensor: value?.name ?? output },
      help,
    });
  }
  return fail("CEC4005", { message: promise, why: "the output is gone", at: { tensor: output }, help });
}
