/** Graphs made of the source with some of its layers quantized as the compressed model has them. */
import { blobOf, f32, fromNumbers, type Graph, type Op, type Tensor, tensorType, type Value } from "../../core/index.js";
import type { Layer } from "./layers.js";
import type { Quantizer, Stored } from "./strip.js";

/** Adds quantizers to a copy of the source; each pair of value and parameters once. */
class Variant {
  readonly graph: Graph;
  readonly #map = new Map<Value, Value>();
  readonly #pairs = new Map<string, Value>();

  constructor(source: Graph) {
    this.graph = source.clone(this.#map);
    this.graph.level = "quantized";
  }

  of(v: Value): Value {
    return this.#map.get(v) as Value;
  }

  #constant(name: string, t: Tensor): Value {
    return this.graph.addConstant(name, tensorType(t.type, t.dims), blobOf(t));
  }

  #parameters(name: string, type: Quantizer["type"], s: Pick<Stored, "scale" | "zeroPoint" | "axis">): readonly [Value, Value] {
    const dims = s.axis === null ? [] : [s.scale.length];
    return [this.#constant(`${name}.s`, f32(dims, s.scale)), this.#constant(`${name}.z`, fromNumbers(type, dims, s.zeroPoint))];
  }

  /** The value behind a quantizer. */
  pair(v: Value, q: Quantizer): Value {
    const key = `${v.name} ${q.type} ${q.axis} ${q.scale.join()} ${q.zeroPoint.join()}`;
    const known = this.#pairs.get(key);
    if (known !== undefined || v.type.kind !== "tensor") return known ?? v;
    const operands = this.#parameters(v.name, q.type, q);
    const attrs = q.axis === null ? {} : { axis: q.axis };
    const stored = this.graph.addOp({ kind: "quantize_linear", inputs: [v, ...operands], attrs, types: [tensorType(q.type, v.type.shape)] });
    const dq = this.graph.addOp({ kind: "dequantize_linear", inputs: [stored.outputs[0] as Value, ...operands], attrs, types: [v.type] });
    this.#pairs.set(key, dq.outputs[0] as Value);
    return dq.outputs[0] as Value;
  }

  /** Constant operands as the compressed model has them; stored weights stay integers, so that the engine runs on them. */
  constantOf(v: Value, stored: Stored | null): Value {
    if (stored === null || v.type.kind !== "tensor") {
      const data = v.producer?.data;
      return data === undefined ? v : this.graph.addConstant(v.name, v.type, data);
    }
    const operands = this.#parameters(v.name, stored.data.type, stored);
    const attrs = stored.axis === null ? {} : { axis: stored.axis };
    const op = this.graph.addOp({
      kind: "dequantize_linear",
      inputs: [this.#constant(`${v.name}.q`, stored.data), ...operands],
      attrs,
      types: [tensorType("f32", v.type.shape)],
    });
    return op.outputs[0] as Value;
  }

  /** What the layer reads when it is quantized. */
  operands(l: Layer): (Value | null)[] {
    return l.compressed.inputs.map((v, i) => {
      if (v === null) return null;
      const from = l.reads[i];
      if (from == null) return this.constantOf(v, i === 1 ? l.weights : null);
      const q = l.inputs[i] ?? null;
      return q === null ? this.of(from) : this.pair(this.of(from), q);
    });
  }

  done(): Graph {
    this.graph.sort();
    for (const op of [...this.graph.ops].reverse())
      if (op.outputs.length > 0 && op.kind !== "carry" && !op.outputs.some((v) => this.graph.isUsed(v))) this.graph.removeOp(op);
    return this.graph;
  }
}

/** The source with these layers quantized, each as `quantize` would without the others: operands, weights, result. */
export function quantizedVariant(source: Graph, layers: readonly Layer[]): Graph {
  const variant = new Variant(source);
  const { graph } = variant;
  const inputs = layers.map((l) => ({ l, op: variant.of(l.source.outputs[0] as Value).producer as Op, operands: variant.operands(l) }));
  for (const { op, operands } of inputs) operands.forEach((v, i) => graph.setInput(op, i, v));
  for (const { l, op } of inputs) {
    if (l.output === null) continue;
    const y = op.outputs[0] as Value;
    const users = graph.users(y).filter((u) => u.kind !== "quantize_linear");
    const dq = variant.pair(y, l.output);
    for (const user of users) user.inputs.forEach((v, i) => v === y && graph.setInput(user, i, dq));
    graph.outputs.forEach((o, i) => o.value === y && graph.setOutput(i, dq));
  }
  return variant.done();
}

/**
 * The source with a quantized copy beside each of these layers, which reads the source's own values: the error that the layer alone makes.
 * @returns the graph, and by layer the name of the copy's result
 */
export function localVariant(source: Graph, layers: readonly Layer[]): { readonly graph: Graph; readonly results: ReadonlyMap<Layer, string> } {
  const variant = new Variant(source);
  const { graph } = variant;
  const results = new Map<Layer, string>();
  const made = layers.map((l) => {
    const copy = graph.addOp({
      kind: l.source.kind,
      inputs: variant.operands(l),
      attrs: l.source.attrs,
      types: l.source.outputs.map((v) => v.type),
      name: `${l.name}.alone`,
      regions: l.source.regions,
    });
    const y = copy.outputs[0] as Value;
    return { l, y: l.output === null ? y : variant.pair(y, l.output) };
  });
  for (const { l, y } of made) {
    graph.addOutput(y.name, y);
    results.set(l, y.name);
  }
  return { graph: variant.done(), results };
}

/** Elements of a value for one sample: free dimensions count as 1. */
export const elementsOf = (v: Value): number =>
  v.type.kind !== "tensor" ? 0 : (v.type.shape ?? []).slice(1).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1);
