/**
 * Recipes of ours map an image input to its own 8-bit grid, x' = x·factor + part, in front of the first convolution, whose weights take the inverse (the pass
 * align-input). The source gets the same ops before it is compared: what it computes stays the same, and the first layer reads the same values.
 */
import {
  blobOf,
  constantTensor,
  f32,
  type Graph,
  isConstant,
  nums,
  type Op,
  type Tensor,
  tensorType,
  toNumbers,
  type Value,
} from "../../core/index.js";

interface Chain {
  /** Pad, Mul and Add by constants, from the input on. */
  readonly ops: readonly Op[];
  readonly readers: readonly Op[];
}

const byConstant = (op: Op, v: Value): boolean =>
  (op.kind === "pad" || op.kind === "mul" || op.kind === "add") && op.inputs[0] === v && op.inputs.slice(1).every((w) => w === null || isConstant(w));

/** Ops that only map the input before convolutions read it; `null` where there are none. */
function chainFrom(graph: Graph, input: Value): Chain | null {
  const ops: Op[] = [];
  for (let v = input; ; ) {
    const users = graph.users(v);
    const [next] = users;
    if (users.length === 1 && next !== undefined && byConstant(next, v)) {
      ops.push(next);
      v = next.outputs[0] as Value;
      continue;
    }
    return ops.some((op) => op.kind === "add") && users.every((op) => op.kind === "conv" && op.inputs[0] === v) ? { ops, readers: users } : null;
  }
}

/** factor and part of each channel of the chain's map. */
function mapOf(ops: readonly Op[], channels: number): { readonly factor: Float64Array; readonly part: Float64Array } | null {
  const [factor, part] = [new Float64Array(channels).fill(1), new Float64Array(channels)];
  for (const op of ops) {
    if (op.kind === "pad") continue;
    const t = constantTensor(op.inputs[1]);
    if (t === null || (t.data.length !== 1 && t.data.length !== channels)) return null;
    const k = toNumbers(t);
    for (let c = 0; c < channels; c++) {
      const e = k[k.length === 1 ? 0 : c] as number;
      if (op.kind === "add") part[c]! += e;
      else {
        factor[c]! *= e;
        part[c]! *= e;
      }
    }
  }
  return { factor, part };
}

/** @param source changed in place @param compressed without quantizers */
export function alignInputs(source: Graph, compressed: Graph): void {
  for (const [i, v] of compressed.inputs.entries()) {
    const input = source.inputs.find((w) => w.name === v.name) ?? source.inputs[i];
    const chain = chainFrom(compressed, v);
    const readers = input === undefined ? [] : source.users(input);
    if (input === undefined || chain === null || readers.length !== chain.readers.length || chainFrom(source, input) !== null) continue;
    const pairs = readers.map((s, k) => [s, chain.readers.find((c) => c.name !== "" && c.name === s.name) ?? (chain.readers[k] as Op)] as const);
    const shape = input.type.kind === "tensor" ? input.type.shape : null;
    const map = typeof shape?.[1] === "number" ? mapOf(chain.ops, shape[1]) : null;
    if (map === null || pairs.some(([s]) => s.kind !== "conv" || s.inputs[0] !== input || constantTensor(s.inputs[1])?.type !== "f32")) continue;
    let x = input;
    for (const op of chain.ops) {
      const constants = op.inputs
        .slice(1)
        .map((w) => (w?.producer?.data === undefined ? null : source.addConstant(w.name, w.type, w.producer.data, readers[0])));
      const y = op.outputs[0] as Value;
      const made = source.addOp(
        { kind: op.kind, inputs: [x, ...constants], attrs: op.attrs, types: [y.type], outputNames: [y.name], name: op.name },
        source.ops.find((o) => readers.includes(o)),
      );
      x = made.outputs[0] as Value;
    }
    for (const [s, c] of pairs) giveInverse(source, s, c, x, map);
    source.sort();
  }
}

function giveInverse(graph: Graph, s: Op, c: Op, x: Value, { factor, part }: NonNullable<ReturnType<typeof mapOf>>): void {
  const w = constantTensor(s.inputs[1]) as Tensor;
  const old = s.inputs[2] == null ? null : constantTensor(s.inputs[2]);
  const [outs = 0, ins = 1, ...kernel] = w.dims;
  const taps = kernel.reduce((a, b) => a * b, 1);
  const perGroup = outs / Number(s.attrs["group"] ?? 1);
  const bias = Float64Array.from({ length: outs }, (_, o) => (old === null ? 0 : (toNumbers(old)[o] as number)));
  const weights = toNumbers(w).map((e, i) => {
    const o = Math.floor(i / (taps * ins));
    const channel = Math.floor(o / perGroup) * ins + (Math.floor(i / taps) % ins);
    const inverse = e / (factor[channel] as number);
    bias[o]! -= inverse * (part[channel] as number);
    return inverse;
  });
  const constant = (name: string, t: Tensor): Value => graph.addConstant(name, tensorType("f32", t.dims), blobOf(t), s);
  graph.setInput(s, 0, x);
  graph.setInput(s, 1, constant(`${(s.inputs[1] as Value).name}.aligned`, f32(w.dims, weights)));
  graph.setInput(s, 2, constant(`${(s.inputs[1] as Value).name}.bias`, f32([outs], bias)));
  graph.setAttrs(s, { ...s.attrs, pads: nums(c, "pads") });
}
