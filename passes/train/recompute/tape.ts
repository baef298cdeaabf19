/**
 * A lowered training graph as recomputation sees it: which results of its forward part its backward part reads, what they take, and what making them again costs.
 */
import {
  byteSize,
  countOf,
  fail,
  type Graph,
  inferGraph,
  isStatic,
  type Op,
  opDefinition,
  tensorType,
  type Value,
} from "../../../compiler/core/index.js";
import { statesOf } from "../apply-optimizer.js";

/** Kinds whose result is the operand's bytes under another shape. */
const views: ReadonlySet<string> = new Set(["reshape", "flatten", "squeeze", "unsqueeze", "identity"]);
export const isView = (op: Op): boolean => views.has(op.kind);

/** Floating-point operations in the time that one byte moves: about what a core with AVX-512 does. Only ratios of times matter. */
const FLOPS_PER_BYTE = 8;

/** A result of the forward part. */
export interface Slot {
  readonly value: Value;
  /** 0 for another shape of another result's bytes. */
  readonly bytes: number;
  /** Index in `Tape.forward` of the op that gives it. */
  readonly at: number;
  /** Index of the last forward op that reads it or a view of it. */
  lastRead: number;
  /** The backward part reads it. */
  saved: boolean;
  /** The caller reads it, or a view of it, after the step: it cannot be dropped. */
  output: boolean;
  /** It depends on data and on parameters. */
  readonly activation: boolean;
  /** The result whose bytes it shows, where it is a view. */
  readonly of: Slot | null;
}

export interface Tape {
  /** Ops up to the loss, constants left out. */
  readonly forward: readonly Op[];
  /** Ops behind it. */
  readonly backward: readonly Op[];
  /** In the order of the ops. */
  readonly slots: ReadonlyMap<Value, Slot>;
  /** Time of each forward op, in units of one byte moved. */
  readonly time: readonly number[];
  /** Multiply-accumulates of any op of the graph. */
  macs(op: Op): number;
  /** Bytes of any value of the graph. */
  bytes(value: Value): number;
  /** Dimensions of any value; `null` where one is not known. */
  dims(value: Value): readonly number[] | null;
}

/**
 * Reads a training graph.
 * @param batch what free dimensions of inputs are taken for at the first axis; they are 1 elsewhere
 * @throws CecError CEC4014 where the graph has no loss or nothing behind it
 */
export function readTape(graph: Graph, batch: number): Tape {
  const ops = graph.ops.filter((op) => op.kind !== "constant");
  const loss = graph.outputs.find((o) => o.name === "loss")?.value.producer;
  const end = loss == null ? -1 : ops.indexOf(loss) + 1;
  if (end <= 0 || end === ops.length)
    fail("CEC4014", { message: "the graph holds no loss with gradients behind it", help: "put `add_loss`, `autodiff` and `apply_optimizer` before" });
  const [forward, backward] = [ops.slice(0, end), ops.slice(end)];
  const { bytes, dims, cost } = sizesOf(graph, batch);

  const states = new Set(statesOf(graph).map((s) => s.value));
  const [onData, onParameters] = [new Set(graph.inputs.filter((v) => !states.has(v))), new Set<Value>(states)];
  for (const op of graph.ops) if (op.kind === "constant" && op.outputs[0] !== undefined) onParameters.add(op.outputs[0]);

  const slots = new Map<Value, Slot>();
  forward.forEach((op, at) => {
    const depends = (on: ReadonlySet<Value>): boolean => op.inputs.some((v) => v !== null && on.has(v));
    const [data, parameters] = [depends(onData), depends(onParameters)];
    for (const value of op.outputs) {
      if (data) onData.add(value);
      if (parameters) onParameters.add(value);
      const of = isView(op) ? (slots.get(op.inputs[0] as Value) ?? null) : null;
      slots.set(value, {
        value,
        bytes: of === null && !isView(op) ? bytes(value) : 0,
        at,
        lastRead: at,
        saved: false,
        output: graph.isOutput(value),
        activation: data && parameters,
        of,
      });
    }
  });
  forward.forEach((op, at) => {
    for (const v of op.inputs) for (let s = v === null ? null : (slots.get(v) ?? null); s !== null; s = s.of) s.lastRead = Math.max(s.lastRead, at);
  });
  for (const op of backward) for (const v of op.inputs) markSaved(v === null ? undefined : slots.get(v));
  for (const s of slots.values()) if (s.output) for (let of = s.of; of !== null; of = of.of) of.output = true;
  const costs = new Map(ops.map((op) => [op, cost(op)]));
  return { forward, backward, slots, time: forward.map((op) => cost(op).time), macs: (op) => costs.get(op)?.macs ?? 0, bytes, dims };
}

function markSaved(slot: Slot | undefined): void {
  if (slot !== undefined) slot.saved = true;
}

/** Bytes of values and costs of ops at a batch size. */
function sizesOf(graph: Graph, batch: number): Pick<Tape, "bytes" | "dims"> & { cost(op: Op): { macs: number; time: number } } {
  const values = new Map<Value, Value>();
  const sized = graph.clone(values);
  for (const v of sized.inputs) {
    if (v.type.kind !== "tensor" || v.type.shape === null) continue;
    v.type = tensorType(
      v.type.elem,
      v.type.shape.map((d, i) => (typeof d === "number" ? d : i === 0 ? batch : 1)),
    );
  }
  inferGraph(sized);
  const dims = (v: Value | null): readonly number[] | null => {
    const type = v === null ? undefined : values.get(v)?.type;
    return type?.kind === "tensor" && isStatic(type.shape) ? type.shape : null;
  };
  const bytes = (v: Value): number => (v.type.kind === "tensor" ? byteSize(v.type.elem, countOf(dims(v) ?? [0])) : 0);
  return {
    bytes,
    dims,
    cost(op) {
      if (isView(op)) return { macs: 0, time: 0 };
      const moved = [...op.inputs, ...op.outputs].reduce((n, v) => n + (v === null ? 0 : bytes(v)), 0);
      const known = opDefinition(op.kind)?.cost?.(op, { inputs: op.inputs.map(dims), outputs: op.outputs.map((v) => dims(v) ?? []) });
      return { macs: known?.macs ?? 0, time: moved + (2 * (known?.macs ?? 0) + (known?.flops ?? 0)) / FLOPS_PER_BYTE };
    },
  };
}
