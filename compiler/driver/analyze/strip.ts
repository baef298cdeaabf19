/** Takes a QDQ model apart: the float graph that its integers stand for, and its quantizers beside it. */
import {
  blobOf,
  constantTensor,
  type ElementType,
  fromNumbers,
  type Graph,
  integerRange,
  isConstant,
  isInteger,
  num,
  type Op,
  type Tensor,
  tensorType,
  toNumbers,
  type Value,
} from "../../core/index.js";

/** A QuantizeLinear on an activation. */
export interface Quantizer {
  /** The value that is quantized, by its name in the compressed model. */
  readonly value: string;
  /** What readers get: the result of the DequantizeLinear, by its name in the compressed model. */
  readonly result: string;
  readonly type: ElementType;
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
  /** `null` for one scale per tensor. */
  readonly axis: number | null;
  /** What the integers reach, over all scales. */
  readonly low: number;
  readonly high: number;
}

/** Weights that are stored in integers. */
export interface Stored {
  readonly data: Tensor;
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
  readonly axis: number | null;
  /** The file has one scale; those along `axis` are its products with a BatchNorm's factors. */
  readonly oneScale?: boolean;
}

export interface Stripped {
  /** The compressed model without quantizers; weights are the values that its integers stand for. */
  readonly graph: Graph;
  /** By the name of the quantized value. */
  readonly quantizers: ReadonlyMap<string, Quantizer>;
  /** By the name of the constant in `graph`. */
  readonly stored: Map<string, Stored>;
}

/** Annotation of ops in a stripped graph: operand positions that were read through a quantizer. */
export const READS = "reads-quantized";

interface Scales {
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
  readonly axis: number | null;
}

function scalesOf(op: Op, rank: number): Scales | null {
  const scale = constantTensor(op.inputs[1]);
  const zero = op.inputs[2] == null ? null : constantTensor(op.inputs[2]);
  if (scale === null || (op.inputs[2] != null && zero === null) || num(op, "block_size", 0) > 0) return null;
  const s = Array.from(toNumbers(scale));
  const z = zero === null ? s.map(() => 0) : Array.from(toNumbers(zero));
  const axis = num(op, "axis", 1);
  return { scale: s, zeroPoint: z, axis: s.length === 1 ? null : axis < 0 ? axis + rank : axis };
}

const rankOf = (v: Value): number => (v.type.kind === "tensor" ? (v.type.shape?.length ?? 0) : 0);

/** The quantizer of a QuantizeLinear, or `null` for what is no plain one. */
function quantizerOf(q: Op, dq: Op): Quantizer | null {
  const [v, y] = [q.inputs[0], q.outputs[0]];
  if (v == null || y?.type.kind !== "tensor" || !isInteger(y.type.elem)) return null;
  const s = scalesOf(q, rankOf(v));
  if (s === null) return null;
  const [least, most] = integerRange(y.type.elem);
  const reach = s.scale.map((e, i) => [(least - (s.zeroPoint[i] ?? 0)) * e, (most - (s.zeroPoint[i] ?? 0)) * e] as const);
  return {
    value: v.name,
    result: (dq.outputs[0] as Value).name,
    type: y.type.elem,
    ...s,
    low: Math.min(...reach.map(([l]) => l)),
    high: Math.max(...reach.map(([, h]) => h)),
  };
}

/** Stored integers as the reals that they stand for. */
export function dequantize({ data, scale, zeroPoint, axis }: Stored): Tensor {
  const inner = axis === null ? 1 : data.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = axis === null ? 1 : (data.dims[axis] as number);
  return fromNumbers(
    "f32",
    data.dims,
    toNumbers(data).map((e, i) => {
      const c = axis === null ? 0 : Math.floor(i / inner) % size;
      return Math.fround(Math.fround(e - (zeroPoint[c] ?? 0)) * Math.fround(scale[c] as number));
    }),
  );
}

/** The compressed model itself is not changed. */
export function stripQuantizers(compressed: Graph): Stripped {
  const graph = compressed.clone();
  graph.level = "float";
  const quantizers = new Map<string, Quantizer>();
  const stored = new Map<string, Stored>();
  const isPair = (v: Value | null): boolean =>
    v?.producer?.kind === "dequantize_linear" && v.producer.inputs[0]?.producer?.kind === "quantize_linear";
  for (const op of graph.ops) {
    const reads = op.inputs.flatMap((v, i) => (isPair(v) ? [i] : []));
    op.annotations = reads.length > 0 ? { ...op.annotations, [READS]: reads } : op.annotations;
  }
  for (const dq of graph.opsOf("dequantize_linear")) {
    const [x, y] = [dq.inputs[0], dq.outputs[0] as Value];
    if (x == null) continue;
    if (isConstant(x)) {
      const s = scalesOf(dq, rankOf(x));
      if (s === null) continue;
      const kept: Stored = { data: constantTensor(x) as Tensor, ...s };
      const { name } = y;
      const real = dequantize(kept);
      const constant = graph.addConstant(name, tensorType("f32", real.dims), blobOf(real), dq);
      graph.replaceAllUses(y, constant);
      graph.removeOp(dq);
      graph.rename(constant, name);
      stored.set(name, kept);
      continue;
    }
    const q = x.producer;
    if (q?.kind !== "quantize_linear" || q.inputs[0] == null) continue;
    const found = quantizerOf(q, dq);
    if (found === null) continue;
    // Where the same value is quantized twice, the first stands for both.
    if (!quantizers.has(found.value)) quantizers.set(found.value, found);
    graph.replaceAllUses(y, q.inputs[0]);
  }
  for (const op of [...graph.ops].reverse()) {
    const dead = ["dequantize_linear", "quantize_linear", "constant"].includes(op.kind) && !op.outputs.some((v) => graph.isUsed(v));
    if (dead) graph.removeOp(op);
  }
  return { graph, quantizers, stored };
}
