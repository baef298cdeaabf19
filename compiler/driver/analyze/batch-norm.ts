/** BatchNorms that the compressed model runs apart: its layers are compared with them folded in, as the source's are. */
import { affineOf } from "../../../passes/canonicalize/fold-batch-norm.js";
import { findPass } from "../../../passes/index.js";
import { ruleOf } from "../../../passes/quantize/rules.js";
import { type Graph, type Op, type PassDefinition, runPipeline, type Value } from "../../core/index.js";
import type { Stored } from "./strip.js";

export interface Apart {
  /** By the name of a folded layer's result: the BatchNorm's result, which is what the compressed model holds of it. */
  readonly results: ReadonlyMap<string, string>;
  /** Ops whose weights hold a BatchNorm now. */
  readonly ops: ReadonlySet<Op>;
  /** Of these, by name, constants of integers that have no counterpart behind the BatchNorm. */
  readonly lost: ReadonlySet<string>;
}

/** Integers that stand for the weights times one factor per output channel; `null` where none do. */
function scaledBy(stored: Stored, op: Op, factor: Float64Array): Stored | null {
  const rule = ruleOf(op.kind);
  const grouped = op.kind === "conv_transpose" && (op.attrs["group"] ?? 1) !== 1;
  const axis = rule.kind === "weighted" && !grouped ? rule.weightAxis(op.attrs, stored.data.dims.length) : null;
  if (axis === null || (stored.axis !== null && stored.axis !== axis) || factor.some((f) => !(f > 0))) return null;
  const per = <T>(v: readonly T[]): T[] => Array.from(factor, (_, c) => v[stored.axis === null ? 0 : c] as T);
  return {
    data: stored.data,
    scale: per(stored.scale).map((s, c) => s * (factor[c] as number)),
    zeroPoint: per(stored.zeroPoint),
    axis,
    oneScale: stored.axis === null,
  };
}

const behindPad = (v: Value): Op | null => (v.producer?.kind === "pad" ? (v.producer.inputs[0]?.producer ?? null) : v.producer);

/** Folds BatchNorms of a stripped graph in place. @param stored gets the weights that the folded layers have */
export async function foldApart(graph: Graph, stored: Map<string, Stored>): Promise<Apart> {
  const weights = new Map(graph.ops.filter((op) => ruleOf(op.kind).kind === "weighted").map((op) => [op, op.inputs[1]?.name ?? ""]));
  const norms = graph.opsOf("batch_normalization").map((bn) => {
    const x = bn.inputs[0] as Value;
    return { x, y: (bn.outputs[0] as Value).name, producer: behindPad(x), affine: affineOf(bn) };
  });
  await runPipeline(graph, [{ pass: findPass("fold_batch_norm") as PassDefinition, options: {} }], { verify: "off" });
  const alive = new Set(graph.ops);
  const changed = (op: Op): boolean => alive.has(op) && op.inputs[1]?.name !== weights.get(op);
  const ops = new Set([...weights.keys()].filter(changed));
  const results = new Map<string, string>();
  const factors = new Map<Op, Float64Array>();
  for (const { x, y, producer, affine } of norms) {
    if (producer === null || typeof affine === "string" || graph.value(y) !== undefined || !ops.has(producer)) continue;
    results.set(x.name, y);
    factors.set(producer, affine.scale);
  }
  const lost = new Set<string>();
  for (const op of ops) {
    const old = stored.get(weights.get(op) as string);
    const name = (op.inputs[1] as Value).name;
    if (old === undefined) continue;
    const factor = factors.get(op);
    const now = factor === undefined ? null : scaledBy(old, op, factor);
    if (now === null) lost.add(name);
    else stored.set(name, now);
  }
  return { results, ops, lost };
}
