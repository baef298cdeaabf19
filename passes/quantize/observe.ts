import { z } from "zod";
import { definePass, fail, type Graph, type Json, type Op, type TensorStatistics } from "../../compiler/core/index.js";
import type { RangeMethod } from "./options.js";
import { chooseRange, paramsOf, type Range } from "./ranges.js";
import { ruleOf } from "./rules.js";
import { type EdgeSpec, type FixedSpec, type ObservedSpec, type OpSpec, OWN_RANGES, type OwnRange, readSpec, withBits } from "./spec.js";

/** Samples in one run of calibration, and elements of input in them: enough to keep the kernels busy, few enough for small memory. */
const MOST_SAMPLES = 32;
const BATCH_ELEMENTS = 2 ** 18;

/** Samples in one run of calibration. */
export function batchFor(graph: Graph): number {
  const sample = graph.inputs.reduce((n, v) => {
    const shape = v.type.kind === "tensor" ? (v.type.shape ?? []) : [];
    return n + shape.slice(1).reduce<number>((p, d) => p * (typeof d === "number" ? d : 1), 1);
  }, 0);
  return Math.max(1, Math.min(MOST_SAMPLES, Math.floor(BATCH_ELEMENTS / Math.max(1, sample))));
}

/**
 * Runs the graph on the calibration samples, one pass, and turns observed specs into fixed ones. Statistics stream into histograms of constant size, so memory
 * does not grow with the number of samples. Values that share parameters get the union of their ranges.
 */
export const observe = definePass({
  name: "observe",
  summary: "Observe activations on calibration data and fix their ranges",
  from: "annotated",
  to: "same",
  keeps: "bit-exact",
  options: z.object({ bins: z.number().int().min(128).max(65536).default(2048).describe("bins of each histogram") }).strict(),
  statistics: { values: "values observed", samples: "calibration samples run", constant: "values that never change" },
  async run({ graph, options, rewrite, count, executor, calibration, progress }) {
    const specs = specsByValue(graph);
    if (specs.size === 0) return;
    const moved = movedValues(graph, specs);
    const names = [...specs.keys()].filter((n) => !moved.has(n));
    if (executor === null || calibration === null) {
      return fail("CEC4006", {
        message: "quantization of activations needs calibration data",
        help: "add `calibrate DATA` to the plan; only `quantize dynamic` and `quantize weights` do without",
      });
    }
    let done = 0;
    async function* batches() {
      for await (const feeds of calibration!.batches({ batch: batchFor(graph) })) {
        yield feeds;
        const first = Object.values(feeds)[0];
        done += first?.dims[0] ?? 1;
        progress(done / Math.max(1, calibration!.size), `calibrating, ${done} of ${calibration!.size} samples`);
      }
    }
    // Extremes alone need no histograms, which cost more than all else that is observed.
    const extremes = [...specs.values()].every((e) => e.kind !== "observed" || ["minmax", "moving_average"].includes(e.range));
    const statistics = await executor.observe(graph, names, batches(), { bins: extremes ? 0 : options.bins });
    count("samples", done);
    if (done === 0) fail("CEC4006", { message: "the calibration data holds no sample", help: "check the slice of the data that `calibrate` names" });
    const alone = new Map<string, OwnRange>();
    const fixed = fixSpecs(specs, statistics, moved, alone, (name) => {
      count("values");
      const s = statistics.get(name);
      if (s !== undefined && s.min === s.max) count("constant");
    });
    for (const op of graph.ops) {
      const spec = readSpec(op);
      if (spec === null) continue;
      const replace = (edge: EdgeSpec | null, name: string | undefined): EdgeSpec | null =>
        edge !== null && name !== undefined && (edge.kind === "observed" || edge.kind === "sharedWith") ? (fixed.get(name) ?? null) : edge;
      const next: OpSpec = {
        inputs: spec.inputs.map((e, i) => replace(e, op.inputs[i]?.name)),
        outputs: spec.outputs.map((e, i) => replace(e, op.outputs[i]?.name)),
      };
      rewrite.annotate(op, "quant", next as unknown as Json, "ranges are known");
      if (ruleOf(op.kind).kind === "joined") annotateOwn(op);
    }

    /** What place-int8 decides by: the range that each value which shares this op's would have alone. */
    function annotateOwn(op: Op): void {
      const root = rootOf(specs, op.outputs[0]?.name ?? "");
      const members = [...alone].filter(([name]) => rootOf(specs, name) === root);
      if (members.length > 1) rewrite.annotate(op, OWN_RANGES, Object.fromEntries(members) as unknown as Json, "ranges of its operands alone");
    }
  },
});

const rootOf = (specs: ReadonlyMap<string, EdgeSpec>, name: string): string => {
  const s = specs.get(name);
  return s?.kind === "sharedWith" && s.value !== name ? rootOf(specs, s.value) : name;
};

/** Ops whose result holds the elements of their operands, each once, in another place. */
const MOVES = new Set(["concat", "reshape", "flatten", "squeeze", "unsqueeze", "transpose", "depth_to_space", "space_to_depth", "identity"]);

/** Values that hold what others hold that share their range, and those: looking at them again would cost time and tell nothing. */
function movedValues(graph: Graph, specs: ReadonlyMap<string, EdgeSpec>): Map<string, readonly string[]> {
  const out = new Map<string, readonly string[]>();
  for (const op of graph.ops) {
    const y = op.outputs[0]?.name ?? "";
    if (!MOVES.has(op.kind) || op.attrs["activation"] !== undefined || !specs.has(y)) continue;
    const from = (op.kind === "concat" ? op.inputs : op.inputs.slice(0, 1)).map((v) => v?.name ?? "");
    if (from.every((x) => specs.has(x) && rootOf(specs, x) === rootOf(specs, y))) out.set(y, from);
  }
  return out;
}

/** Specs of activations by value name. */
function specsByValue(graph: Graph): Map<string, EdgeSpec> {
  const out = new Map<string, EdgeSpec>();
  const add = (edges: readonly (EdgeSpec | null)[], values: readonly ({ readonly name: string } | null)[]): void => {
    edges.forEach((e, i) => {
      const v = values[i];
      if (e !== null && v != null && (e.kind === "observed" || e.kind === "sharedWith") && !out.has(v.name)) out.set(v.name, e);
    });
  };
  for (const op of graph.ops) {
    const spec = readSpec(op);
    if (spec === null) continue;
    add(spec.inputs, op.inputs);
    add(spec.outputs, op.outputs);
  }
  return out;
}

/** One set of parameters per group of sharing values. */
function fixSpecs(
  specs: ReadonlyMap<string, EdgeSpec>,
  statistics: ReadonlyMap<string, TensorStatistics>,
  moved: ReadonlyMap<string, readonly string[]>,
  alone: Map<string, OwnRange>,
  seen: (name: string) => void,
): Map<string, FixedSpec> {
  const groups = new Map<string, string[]>();
  for (const name of specs.keys()) groups.set(rootOf(specs, name), [...(groups.get(rootOf(specs, name)) ?? []), name]);
  const out = new Map<string, FixedSpec>();
  for (const [root, members] of groups) {
    const spec = specs.get(root) as ObservedSpec;
    const known = members.flatMap((n) => {
      const s = statistics.get(n);
      return s === undefined ? [] : [{ name: n, s }];
    });
    for (const { name, s } of known) {
      seen(name);
      if (s.nanCount + s.infCount > 0) {
        fail("CEC4007", {
          message: `the tensor "${name}" holds ${s.nanCount} NaN and ${s.infCount} infinite values on the calibration data`,
          why: "no range can be chosen for them",
          help: "check the data and its normalization; `keep` leaves the op in float",
          at: { tensor: name },
        });
      }
    }
    const negative = known.some(({ s }) => s.min < 0);
    const type = spec.scheme === "symmetric" && spec.type === "u8" ? (negative ? "i8" : "u8") : spec.type;
    const range = known.reduce<Range>(
      (r, { name, s }) => {
        const c = chooseRange(s, spec.range as RangeMethod, {
          type,
          scheme: spec.scheme,
          ...withBits(spec.bits),
          ...(spec.percentile === undefined ? {} : { percentile: spec.percentile }),
        });
        alone.set(name, { ...c, type, scheme: spec.scheme, ...withBits(spec.bits) });
        return { low: Math.min(r.low, c.low), high: Math.max(r.high, c.high) };
      },
      { low: 0, high: 0 },
    );
    // In the graph's order: what an op moves may have been moved before.
    for (const [name, from] of moved) {
      const parts = members.includes(name) ? from.flatMap((x) => alone.get(x) ?? []) : [];
      if (parts.length > 0)
        alone.set(name, { type, scheme: spec.scheme, low: Math.min(...parts.map((r) => r.low)), high: Math.max(...parts.map((r) => r.high)) });
    }
    const p = paramsOf(range, type, spec.scheme, spec.bits);
    for (const n of members) out.set(n, { kind: "fixed", type, scale: [p.scale], zeroPoint: [p.zeroPoint], axis: null, ...withBits(spec.bits) });
  }
  return out;
}
