/** What specs come to: which values are quantized, for which readers, and where. Materializing and fake quantization both follow it. */
import type { Graph, Op, Value } from "../../compiler/core/index.js";
import { type FixedSpec, type OpSpec, readSpec } from "./spec.js";

/** Specs of the ops that have some, in graph order. */
export type SpecTable = ReadonlyMap<Op, OpSpec>;

export const specsOf = (graph: Graph): SpecTable =>
  new Map(
    graph.ops.flatMap((op): [Op, OpSpec][] => {
      const spec = readSpec(op);
      return spec === null ? [] : [[op, spec]];
    }),
  );

/** Whether operand `i` holds weights, whose scales may be one per channel. */
export const isWeight = (op: Op, i: number): boolean => i === 1 && ["conv", "conv_transpose", "gemm", "matmul"].includes(op.kind);

export interface QuantizedValue {
  readonly spec: FixedSpec;
  /** Its producer gives INT8: all readers see the quantized value. Otherwise only `readers` do. */
  readonly everywhere: boolean;
  readonly readers: readonly Op[];
}

/** Values that are quantized, in graph order. */
export function quantizedValues(graph: Graph, plan: SpecTable): ReadonlyMap<Value, QuantizedValue> {
  const out = new Map<Value, QuantizedValue>();
  for (const v of graph.inputs) collect(v, null);
  for (const op of graph.ops)
    op.outputs.forEach((v, i) => collect(v, plan.get(op)?.outputs[i]?.kind === "fixed" ? (plan.get(op)?.outputs[i] as FixedSpec) : null));
  return out;

  function collect(v: Value, produced: FixedSpec | null): void {
    if (v.producer?.kind === "constant") return;
    const readers = graph.users(v).filter((u) => u.inputs.some((w, i) => w === v && plan.get(u)?.inputs[i]?.kind === "fixed"));
    const spec = produced ?? firstSpec(v, readers);
    // A result that only float ops read is not stored, unless its producer needs that to run on integers.
    if (spec === null) return;
    out.set(v, { spec, everywhere: produced !== null, readers });
  }
  function firstSpec(v: Value, readers: readonly Op[]): FixedSpec | null {
    for (const u of readers) {
      const e = plan.get(u)?.inputs[u.inputs.indexOf(v)];
      if (e?.kind === "fixed") return e;
    }
    return null;
  }
}

/**
 * The ops that will read the quantized value, and the op to insert before; `anchor` is `null` where there is no place. `last`: the producer is the last op, itself
 * the anchor, and must be moved up again in front of what was inserted.
 */
export function quantizingAnchor(
  graph: Graph,
  v: Value,
  everywhere: boolean,
  readers: readonly Op[],
): { readonly users: readonly Op[]; readonly anchor: Op | null; readonly last: boolean } {
  const order = new Map(graph.ops.map((op, i) => [op, i]));
  const users = everywhere ? graph.users(v) : readers;
  const after = afterProducer(graph, v);
  const first = users.reduce<Op | null>((a, u) => (a === null || (order.get(u) as number) < (order.get(a) as number) ? u : a), null);
  return { users, anchor: first ?? after ?? v.producer, last: users.length === 0 && after === null };
}

/** An op that comes later than the value's producer, as a place to insert before; `null` when the producer is the last op. */
function afterProducer(graph: Graph, v: Value): Op | null {
  const at = v.producer === null ? -1 : graph.ops.indexOf(v.producer);
  return graph.ops[at + 1] ?? null;
}
