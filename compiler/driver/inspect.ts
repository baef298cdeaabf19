/** Parameters, multiply-adds and bytes of a model, in all and per op. */
import { byteSize, countOf, type Graph, isConstant, type Op, opDefinition, type Type, type Value } from "../core/index.js";

export interface OpCost {
  readonly name: string;
  readonly kind: string;
  readonly output: string;
  readonly parameters: number;
  readonly macs: number;
  /** Bytes of the op's constants. */
  readonly weightBytes: number;
  /** Bytes of its results; symbols count as 1. */
  readonly outputBytes: number;
}

export interface ModelCost {
  readonly ops: readonly OpCost[];
  readonly parameters: number;
  readonly macs: number;
  readonly weightBytes: number;
}

/** Free dimensions count as `batch` at the first axis and as 1 elsewhere. */
const concrete = (type: Type, batch: number): number[] | null =>
  type.kind !== "tensor" || type.shape === null ? null : type.shape.map((d, i) => (typeof d === "number" ? d : i === 0 ? batch : 1));

/** Integer stand-ins of weights: a constant behind a DequantizeLinear belongs to the op that reads that. */
function ownConstants(op: Op): Op[] {
  return op.inputs.flatMap((v) => {
    const p = v?.producer;
    if (p?.kind === "constant") return [p];
    if (p?.kind === "dequantize_linear" && p.inputs[0]?.producer?.kind === "constant")
      return p.inputs.flatMap((w) => (w?.producer?.kind === "constant" ? [w.producer] : []));
    return [];
  });
}

/** Elements of a constant that are weights: of floating type or stored in integers behind a DequantizeLinear; not shapes, axes and single bounds. */
const isWeight = (v: Value | undefined): boolean =>
  v?.type.kind === "tensor" && !["i64", "bool", "string"].includes(v.type.elem) && (v.type.shape ?? []).length > 0;

const bytesOf = (type: Type, batch: number): number => {
  const dims = concrete(type, batch);
  return dims === null || type.kind !== "tensor" ? 0 : byteSize(type.elem, countOf(dims));
};

export function modelCost(graph: Graph, batch = 1): ModelCost {
  const seen = new Set<Op>();
  const ops = graph.ops.flatMap((op): OpCost[] => {
    if (op.kind === "constant" || (op.kind === "dequantize_linear" && isStoredConstant(op))) return [];
    let [parameters, weightBytes] = [0, 0];
    for (const c of ownConstants(op)) {
      if (seen.has(c)) continue;
      seen.add(c);
      weightBytes += c.data?.byteLength ?? 0;
      const v = c.outputs[0];
      const isScale =
        graph.users(v as Value).every((u) => u.kind === "dequantize_linear" || u.kind === "quantize_linear") &&
        v !== undefined &&
        !graph.users(v).some((u) => u.inputs[0] === v);
      if (isWeight(v) && !isScale && v?.type.kind === "tensor")
        parameters += (v.type.shape ?? []).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
    }
    const shapes = {
      inputs: op.inputs.map((v) => (v === null ? null : concrete(v.type, batch))),
      outputs: op.outputs.map((v) => concrete(v.type, batch) ?? []),
    };
    const known = op.outputs.every((v) => v.type.kind === "tensor" && v.type.shape !== null);
    let macs = 0;
    try {
      macs = known ? (opDefinition(op.kind)?.cost?.(op, shapes).macs ?? 0) : 0;
    } catch {
      // A cost rule that needs a shape which is unknown: the op counts as free.
    }
    return [
      {
        name: op.name || (op.outputs[0]?.name ?? ""),
        kind: op.kind === "carry" ? String(op.attrs["op_type"]) : op.kind,
        output: op.outputs[0] === undefined ? "" : formatShort(op.outputs[0].type),
        parameters,
        macs,
        weightBytes,
        outputBytes: op.outputs.reduce((n, v) => n + bytesOf(v.type, batch), 0),
      },
    ];
  });
  const sum = (f: (o: OpCost) => number): number => ops.reduce((n, o) => n + f(o), 0);
  return { ops, parameters: sum((o) => o.parameters), macs: sum((o) => o.macs), weightBytes: sum((o) => o.weightBytes) };
}

const isStoredConstant = (op: Op): boolean => isConstant(op.inputs[0]);

const formatShort = (t: Type): string => (t.kind !== "tensor" ? "?" : `${t.elem}[${t.shape === null ? "…" : t.shape.join(", ")}]`);
