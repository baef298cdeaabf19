import { z } from "zod";
import {
  definePass,
  type Executor,
  elementCount,
  type Feeds,
  fail,
  Graph,
  type GraphSession,
  isConstant,
  type Json,
  type Op,
  type Tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { type FixedSpec, integersOf, type OpSpec, readSpec } from "./spec.js";

/** Steps that are tried, as shares of the step that observe chose. */
const FACTORS = [0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2];

/**
 * Ranges by the error behind the op: for each quantized value, steps around the chosen one are tried through the ops that read it (products and pools, with float
 * weights), and the one with the least squared error of their results is kept. A value whose error an average takes back, or whose outliers the weights look for,
 * gets another range than its own distribution says. Values that share their range with others keep it.
 */
export const tuneRanges = definePass({
  name: "tune-ranges",
  summary: "Choose ranges of activations by the error behind the ops that read them",
  description:
    'Output-error-aware search after Wu et al. 2020, "EasyQuant" (there by cosine, here by squared error). Stands between observe and round-weights; runs each reading op once for each step that is tried.',
  from: "annotated",
  to: "same",
  keeps: "bit-exact",
  options: z
    .object({
      samples: z.number().int().min(1).max(1024).default(8).describe("calibration samples that the ops are run on"),
      memory: z.number().int().min(1).max(65536).default(64).describe("MiB of activations that are held at a time"),
    })
    .strict(),
  statistics: { tried: "values whose range was searched", changed: "values whose range changed" },
  async run({ graph, options: o, rewrite, count, decide, executor, calibration, progress, signal }) {
    if (executor === null || calibration === null)
      return fail("CEC4006", { message: "the search for ranges needs calibration data", help: "add `calibrate DATA` to the plan" });
    const sites = sitesOf(graph);
    const batches: Feeds[] = [];
    for await (const feeds of calibration.batches({ batch: o.samples, limit: o.samples })) batches.push(feeds);
    let done = 0;
    for (const group of inGroups(sites, o.memory * 2 ** 20, o.samples)) {
      const session = await executor.prepare(graph, { keep: group.map((s) => s.value.name) });
      const kept = await Promise.all(batches.map((f) => session.run(f)));
      session.dispose();
      for (const site of group) {
        if (signal?.aborted) fail("CEC1005", { message: "the search for ranges was interrupted" });
        const inputs = kept.flatMap((k) => k[site.value.name] ?? []);
        const errors = await errorsOf(executor, site, inputs);
        progress(++done / sites.length, `range of ${site.value.name}`);
        count("tried");
        const now = errors[FACTORS.indexOf(1)] as number;
        const best = errors.indexOf(Math.min(...errors));
        if (!((errors[best] as number) < 0.98 * now)) continue;
        const scale = Math.fround((site.spec.scale[0] as number) * (FACTORS[best] as number));
        setScale(site.value, scale);
        count("changed");
        decide(
          site.readers[0] as Op,
          "range tuned",
          `step of %${site.value.name} times ${FACTORS[best]}: squared error of the results`,
          (errors[best] as number) / now,
        );
      }
    }

    function setScale(value: Value, scale: number): void {
      for (const op of graph.ops) {
        const spec = readSpec(op);
        if (spec === null) continue;
        const change = (e: OpSpec["inputs"][number], v: Value | null | undefined) =>
          v === value && e?.kind === "fixed" ? { ...e, scale: [scale] } : e;
        const next = { inputs: spec.inputs.map((e, i) => change(e, op.inputs[i])), outputs: spec.outputs.map((e, i) => change(e, op.outputs[i])) };
        if (JSON.stringify(next) !== JSON.stringify(spec)) rewrite.annotate(op, "quant", next as unknown as Json, "range tuned");
      }
    }
  },
});

interface Site {
  readonly value: Value;
  readonly spec: FixedSpec;
  readonly readers: readonly Op[];
}

const readerKinds: ReadonlySet<string> = new Set(["conv", "gemm", "matmul", "average_pool", "global_average_pool"]);

/** Quantized values that only products and pools read: nothing else has their parameters. */
function sitesOf(graph: Graph): Site[] {
  const values = [...graph.inputs, ...graph.ops.flatMap((op) => op.outputs)];
  return values.flatMap((value) => {
    const readers = graph.users(value);
    const fits = (op: Op): boolean =>
      readerKinds.has(op.kind) &&
      op.inputs[0] === value &&
      op.annotations["grid"] === undefined &&
      op.inputs.slice(1).every((v) => v === null || isConstant(v));
    if (readers.length === 0 || isConstant(value) || graph.isOutput(value) || !readers.every(fits)) return [];
    const producer = value.producer;
    const made = producer === null ? null : readSpec(producer)?.outputs[value.index];
    const spec = made ?? readSpec(readers[0] as Op)?.inputs[0];
    const moved = producer !== null && producer.inputs[0] != null && !["conv", "gemm", "matmul", "add", "mul"].includes(producer.kind);
    return spec?.kind === "fixed" && spec.axis === null && !moved ? [{ value, spec, readers }] : [];
  });
}

function* inGroups(sites: readonly Site[], bytes: number, samples: number): Generator<Site[]> {
  let group: Site[] = [];
  let held = 0;
  for (const s of sites) {
    const shape = s.value.type.kind === "tensor" ? (s.value.type.shape?.slice(1) ?? []) : [];
    const size = 4 * samples * (elementCount(shape) ?? 2 ** 16);
    if (group.length > 0 && held + size > bytes) {
      yield group;
      [group, held] = [[], 0];
    }
    group.push(s);
    held += size;
  }
  if (group.length > 0) yield group;
}

/** Squared error of the readers' results for each of FACTORS, each reader's as a share of its signal. */
async function errorsOf(executor: Executor, { value, spec, readers }: Site, inputs: readonly Tensor[]): Promise<number[]> {
  const errors = FACTORS.map(() => 0);
  for (const op of readers) {
    const session = await executor.prepare(alone(op, value));
    try {
      for (const x of inputs) {
        const wanted = await result(session, x);
        const signal = wanted.reduce((n, v) => n + v * v, 0) || 1;
        for (const [i, factor] of FACTORS.entries()) {
          const got = await result(session, stored(x, spec, Math.fround((spec.scale[0] as number) * factor)));
          let error = 0;
          for (let j = 0; j < wanted.length; j++) error += ((got[j] as number) - (wanted[j] as number)) ** 2;
          errors[i]! += error / signal;
        }
      }
    } finally {
      session.dispose();
    }
  }
  return errors;
}

const result = async (session: GraphSession, x: Tensor): Promise<Float32Array> =>
  (Object.values(await session.run({ x }))[0] as Tensor).data as Float32Array;

/** The op as a graph of its own, its data operand the input. */
function alone(op: Op, value: Value): Graph {
  const graph = new Graph("op");
  const x = graph.addInput("x", value.type);
  const inputs = op.inputs.map((v, i) => (i === 0 ? x : v?.producer?.data === undefined ? null : graph.addConstant(v.name, v.type, v.producer.data)));
  const made = graph.addOp({ kind: op.kind, inputs, attrs: op.attrs, types: op.outputs.map((v) => v.type), name: op.name });
  graph.addOutput("y", made.outputs[0] as Value);
  return graph;
}

/** The values as they come back from storage in these steps. */
function stored(x: Tensor, spec: FixedSpec, scale: number): Tensor {
  const [low, high] = integersOf(spec.type, spec.bits);
  const zero = spec.zeroPoint[0] as number;
  const values = toNumbers(x);
  const data = new Float32Array(values.length);
  for (let i = 0; i < data.length; i++) data[i] = (Math.min(high, Math.max(low, Math.round((values[i] as number) / scale) + zero)) - zero) * scale;
  return { type: "f32", dims: x.dims, data };
}
