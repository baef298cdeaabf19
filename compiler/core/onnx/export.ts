/**
 * IR to ONNX. The default opset is 17, raised where an operator, an attribute or a type needs a newer one, and said so. Fused attributes are written
 * as nodes of their own; engine kinds (`cpu.*`) cannot be exported.
 */
import { fail } from "../diagnostics/index.js";
import { type Attrs, constantTensor, type Graph, isConstant, type Op, type Value } from "../ir/graph.js";
import { describeOp } from "../ir/infer.js";
import type { OpKind } from "../ir/ops/index.js";
import { type Blob, f32, fromBytes, type Tensor, toBytes } from "../ir/tensor.js";
import { type Dim, type ElementType, elementTypes, type Type, UNKNOWN_DIM } from "../ir/types.js";
import { attributeProtos } from "./attributes.js";
import { elementNumbers } from "./elements.js";
import { NEWEST_OPSET } from "./import.js";
import { opTypes } from "./op-types.js";
import {
  attributeTypes,
  functionCodec,
  type GraphProto,
  modelCodec,
  type NodeProto,
  nodeCodec,
  type TensorProto,
  type TypeProto,
  typeCodec,
  type ValueInfoProto,
} from "./schema.js";

export const DEFAULT_OPSET = 17;
export const OLDEST_EXPORT = 13;
/** The newest that ONNX Runtime 1.30 runs. Newer ones are written only where a carried node of the source needs its own. */
export const NEWEST_EXPORT = 26;
/** A protobuf message holds less than 2 GiB; weights beyond this go to a file of their own. */
const EXTERNAL_ABOVE = 1_900_000_000;
/** Initializers below this size stay in the model file even when weights are external. */
const EXTERNAL_LEAST = 1024;
/** Start of each tensor in the external file: memory-mapping readers want pages. */
const EXTERNAL_ALIGNMENT = 4096;

/** IR version that each opset was released with (ONNX Versioning.md). */
const irVersions: Readonly<Record<number, number>> = { 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12 };

export interface ExportOptions {
  /** Wanted opset, 13 to 28; ONNX Runtime 1.30 runs up to 26. */
  readonly opset?: number;
  readonly producer?: string;
  readonly producerVersion?: string;
  /** Name of the file that takes the weights; asked for when the model would be too large for one file. */
  readonly externalData?: string;
}

export interface ExportedModel {
  readonly bytes: Uint8Array;
  readonly opset: number;
  /** Why the opset is not the one asked for, one line each; empty when it is. */
  readonly raised: readonly string[];
  /** Weights in a file of their own: written at these offsets, in order. */
  readonly external: { readonly name: string; readonly parts: readonly { readonly offset: number; readonly blob: Blob }[] } | null;
}

interface Needs {
  readonly opset: number;
  readonly why: string;
}

const lowBit: ReadonlySet<ElementType> = new Set(["i4", "u4"]);
const float8: ReadonlySet<ElementType> = new Set(["f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz"]);

/** Least opset of a type. */
function typeOpset(t: Type): number {
  if (t.kind !== "tensor") return 13;
  if (t.elem === "i2" || t.elem === "u2") return 25;
  if (t.elem === "f8e8m0") return 24;
  if (t.elem === "f4e2m1") return 23;
  if (lowBit.has(t.elem)) return 21;
  return float8.has(t.elem) ? 19 : 13;
}

/** Opset that introduced a kind, where later than 13. */
const kindOpset: { readonly [K in OpKind]?: number } = {
  hard_swish: 14,
  trilu: 14,
  cast_like: 15,
  layer_normalization: 17,
  mish: 18,
  gelu: 20,
  group_normalization: 21,
};

const elemOf = (v: Value | null | undefined): ElementType | null => (v?.type.kind === "tensor" ? v.type.elem : null);

/** Least opset at which the op keeps its meaning. */
function needs(op: Op): Needs[] {
  const out: Needs[] = [];
  const add = (opset: number, why: string): void => {
    if (opset > OLDEST_EXPORT) out.push({ opset, why: `${describeOp(op)}: ${why}` });
  };
  const has = (...names: string[]): boolean => names.some((n) => op.attrs[n] !== undefined);
  const own = kindOpset[op.kind as OpKind];
  if (own !== undefined) add(own, `the operator is of opset ${own}`);
  for (const v of [...op.inputs, ...op.outputs]) if (v !== null) add(typeOpset(v.type), `%${v.name} is ${elemOf(v)}`);
  if (op.kind.startsWith("reduce_") && op.kind !== "reduce_sum") {
    if (op.inputs[1] != null && !isConstant(op.inputs[1])) add(18, "axes are computed");
    if (has("noop_with_empty_axes")) add(18, "noop_with_empty_axes is of opset 18");
  }
  switch (op.kind) {
    case "pad":
      if (op.inputs[3] != null) add(18, "axes are of opset 18");
      if (op.attrs["mode"] === "wrap") add(19, "mode wrap is of opset 19");
      break;
    case "resize":
      if (has("axes", "antialias", "keep_aspect_ratio_policy")) add(18, "axes, antialias and keep_aspect_ratio_policy are of opset 18");
      if (op.attrs["coordinate_transformation_mode"] === "half_pixel_symmetric") add(19, "half_pixel_symmetric is of opset 19");
      break;
    case "scatter_nd":
    case "scatter_elements":
      if (op.attrs["reduction"] === "min" || op.attrs["reduction"] === "max") add(18, "reductions min and max are of opset 18");
      else if (has("reduction")) add(16, "reduction is of opset 16");
      break;
    case "shape":
      if (has("start", "end")) add(15, "start and end are of opset 15");
      break;
    case "reshape":
      if (has("allowzero")) add(14, "allowzero is of opset 14");
      break;
    case "batch_normalization":
      if (has("training_mode")) add(14, "training_mode is of opset 14");
      break;
    case "lstm":
    case "gru":
    case "rnn":
      if (has("layout")) add(14, "layout is of opset 14");
      break;
    case "split":
      if (unevenSplit(op)) add(18, "uneven parts without sizes are of opset 18");
      break;
    case "quantize_linear":
    case "dequantize_linear": {
      const stored = elemOf(op.kind === "quantize_linear" ? op.outputs[0] : op.inputs[0]);
      if (stored === "u16" || stored === "i16") add(21, `${stored} is of opset 21`);
      if (has("block_size")) add(21, "block_size is of opset 21");
      if (has("precision")) add(23, "precision is of opset 23");
      if (has("output_dtype")) add(op.kind === "quantize_linear" ? 21 : 23, "output_dtype is newer than opset 20");
      if (has("saturate")) add(19, "saturate is of opset 19");
      const scale = elemOf(op.inputs[1]);
      if (scale === "f16" || scale === "bf16") add(19, `scales in ${scale} are of opset 19`);
      break;
    }
    case "cast":
    case "cast_like":
      if (has("round_mode")) add(24, "round_mode is of opset 24");
      if (has("saturate")) add(19, "saturate is of opset 19");
      break;
    case "average_pool":
      if (has("dilations")) add(19, "dilations of AveragePool are of opset 19");
      break;
    case "lp_pool":
      if (has("dilations", "ceil_mode")) add(18, "dilations and ceil_mode of LpPool are of opset 18");
      break;
    case "equal":
      if (elemOf(op.inputs[0]) === "string") add(19, "equality of strings is of opset 19");
      break;
    case "is_nan":
    case "is_inf":
      if (float8.has(elemOf(op.inputs[0]) ?? "f32")) add(20, "float8 is of opset 20");
      break;
    case "relu":
      if (elementTypes[elemOf(op.inputs[0]) ?? "f32"].kind === "int") add(14, "integers are of opset 14");
      break;
    case "reduce_max":
    case "reduce_min":
      if (elemOf(op.inputs[0]) === "bool") add(20, "bool is of opset 20");
      break;
    case "add":
    case "sub":
    case "mul":
    case "div": {
      const e = elemOf(op.inputs[0]) ?? "f32";
      if (elementTypes[e].bits < 32 && elementTypes[e].kind !== "float") add(14, `${e} is of opset 14`);
      break;
    }
    default:
      break;
  }
  for (const region of op.regions) for (const inner of region.ops) out.push(...needs(inner));
  return out;
}

const unevenSplit = (op: Op): boolean => {
  if (op.inputs[1] != null || op.outputs.length === 1) return false;
  const sizes = op.outputs.map((v) => (v.type.kind === "tensor" ? v.type.shape?.[axisOf(op, v)] : undefined));
  return sizes.some((s) => s !== sizes[0]) || sizes[0] === UNKNOWN_DIM;
};
const axisOf = (op: Op, v: Value): number => {
  const axis = typeof op.attrs["axis"] === "number" ? op.attrs["axis"] : 0;
  return axis < 0 && v.type.kind === "tensor" ? axis + (v.type.shape?.length ?? 0) : axis;
};

const hasOldCarry = (graph: Graph): Op | undefined =>
  graph.ops.find((op) => op.kind === "carry" && (op.attrs["domain"] === "" || op.attrs["domain"] === "ai.onnx")) ??
  graph.ops.flatMap((op) => op.regions).flatMap((r) => hasOldCarry(r) ?? [])[0];

/** The opset to write: the wanted one, raised by need; the source's own where nodes of the default domain are carried, since their meaning is that opset's. */
function chooseOpset(graph: Graph, wanted: number): { readonly opset: number; readonly raised: string[] } {
  const all = graph.ops.flatMap(needs);
  const most = all.reduce((m, n) => Math.max(m, n.opset), OLDEST_EXPORT);
  let opset = wanted;
  const raised: string[] = [];
  const carried = hasOldCarry(graph);
  const source = graph.meta.opsets?.[""];
  if (carried !== undefined && source !== undefined) {
    const kept = Math.min(NEWEST_OPSET, Math.max(OLDEST_EXPORT, source));
    if (kept !== opset)
      raised.push(
        `opset ${kept} instead of ${opset}: ${describeOp(carried)} (${carried.attrs["op_type"]}) is carried unchanged, and its meaning is that of opset ${source}`,
      );
    opset = kept;
  }
  if (most > opset) {
    raised.push(...new Set(all.filter((n) => n.opset > opset).map((n) => `opset ${n.opset}: ${n.why}`)));
    opset = most;
  }
  if (opset > NEWEST_OPSET)
    fail("CEC3012", {
      message: `the model needs opset ${opset}`,
      why: raised.join("; "),
      help: `cec writes opsets ${OLDEST_EXPORT} to ${NEWEST_OPSET}`,
    });
  return { opset, raised };
}

interface Writer {
  readonly opset: number;
  readonly names: ReadonlyMap<Value, string>;
  readonly used: Set<string>;
  readonly nodes: NodeProto[];
  readonly initializers: TensorProto[];
  /** Where the data of an initializer goes. */
  readonly store: (blob: Blob) => Pick<TensorProto, "raw_data" | "external_data" | "data_location">;
}

const weightBytes = (graph: Graph): number => graph.constants().reduce((n, op) => n + (op.data?.byteLength ?? 0), 0);

/** Whether the weights are too large for one protobuf file. */
export const needsExternalData = (graph: Graph): boolean => weightBytes(graph) > EXTERNAL_ABOVE;

/** Serializes a graph. */
export function exportOnnx(graph: Graph, options: ExportOptions = {}): ExportedModel {
  const wanted = options.opset ?? DEFAULT_OPSET;
  if (!Number.isInteger(wanted) || wanted < OLDEST_EXPORT || wanted > NEWEST_OPSET)
    fail("CEC3012", { message: `opset ${wanted} cannot be written`, help: `cec writes opsets ${OLDEST_EXPORT} to ${NEWEST_OPSET}` });
  const { opset, raised } = chooseOpset(graph, wanted);
  const total = weightBytes(graph);
  if (needsExternalData(graph) && options.externalData === undefined) {
    fail("CEC3013", {
      message: `the weights take ${(total / 2 ** 30).toFixed(1)} GiB`,
      why: "a protobuf file holds at most 2 GiB",
      help: "write the model with external data",
    });
  }
  const parts: { offset: number; blob: Blob }[] = [];
  let end = 0;
  const store: Writer["store"] = (blob) => {
    if (options.externalData === undefined || blob.byteLength < EXTERNAL_LEAST) return { raw_data: blob.bytes() };
    const offset = Math.ceil(end / EXTERNAL_ALIGNMENT) * EXTERNAL_ALIGNMENT;
    end = offset + blob.byteLength;
    parts.push({ offset, blob });
    return {
      data_location: 1,
      external_data: [
        { key: "location", value: options.externalData },
        { key: "offset", value: String(offset) },
        { key: "length", value: String(blob.byteLength) },
      ],
    };
  };
  const proto = graphProto(graph, opset, store, new Set());
  const { meta } = graph;
  const domains = Object.entries(meta.opsets ?? {}).filter(([d]) => d !== "" && usesDomain(graph, d));
  const bytes = modelCodec.encode({
    ir_version: irVersions[opset] ?? 12,
    opset_import: [{ domain: "", version: opset }, ...domains.sort(([a], [b]) => (a < b ? -1 : 1)).map(([domain, version]) => ({ domain, version }))],
    producer_name: options.producer ?? "cec",
    producer_version: options.producerVersion ?? "",
    domain: meta.domain ?? "",
    model_version: meta.modelVersion ?? 0,
    doc_string: meta.doc ?? "",
    graph: proto,
    metadata_props: Object.entries(meta.properties ?? {}).map(([key, value]) => ({ key, value })),
    functions: (meta.functions ?? []).map((f) => functionCodec.decode(f.bytes())),
  });
  return { bytes, opset, raised, external: parts.length === 0 ? null : { name: options.externalData as string, parts } };
}

/** Domains of functions stay imported as well: their bodies may use them. */
const usesDomain = (graph: Graph, domain: string): boolean =>
  (graph.meta.functions?.length ?? 0) > 0 ||
  graph.ops.some((op) => op.attrs["domain"] === domain || op.regions.some((r) => usesDomain(r, domain)) || op.kind === "carry");

/** A region's captured inputs are written under the names of the values that they stand for. */
function graphProto(
  graph: Graph,
  opset: number,
  store: Writer["store"],
  outerNames: ReadonlySet<string>,
  captured: ReadonlyMap<Value, string> = new Map(),
): GraphProto {
  const names = new Map<Value, string>();
  const used = new Set(outerNames);
  for (const n of captured.values()) used.add(n);
  const claim = (wanted: string): string => {
    let name = wanted;
    for (let i = 1; used.has(name); i++) name = `${wanted}_${i}`;
    used.add(name);
    return name;
  };
  const formal = graph.inputs.filter((v) => !captured.has(v));
  for (const [v, n] of captured) names.set(v, n);
  for (const v of formal) names.set(v, claim(v.name));
  // Outputs keep their names. A value that is an input, captured, or named already gets an Identity in between.
  const aliases: { readonly from: Value; readonly to: string }[] = [];
  const outputNames = graph.outputs.map((o) => {
    if (names.get(o.value) === o.name) {
      // The value itself may be an output when it is made here; inputs need a node of their own.
      if (o.value.producer !== null) return o.name;
    }
    const name = names.get(o.value) === o.name && captured.size === 0 && outerNames.size === 0 && o.value.producer === null ? o.name : claim(o.name);
    if (names.has(o.value) || o.value.producer === null) aliases.push({ from: o.value, to: name });
    else names.set(o.value, name);
    return name;
  });
  for (const op of graph.ops) for (const v of op.outputs) if (!names.has(v)) names.set(v, claim(v.name));
  const writer: Writer = { opset, names, used, nodes: [], initializers: [], store };
  for (const op of graph.ops) writeOp(graph, op, writer);
  for (const { from, to } of aliases) {
    if (names.get(from) !== to)
      writer.nodes.push({ op_type: "Identity", name: claim(`${to}/identity`), input: [names.get(from) as string], output: [to] });
  }
  return {
    name: graph.name || "graph",
    doc_string: graph.meta.graphDoc ?? "",
    node: writer.nodes,
    initializer: writer.initializers,
    input: formal.map((v) => valueInfo(names.get(v) as string, v)),
    output: graph.outputs.map((o, i) => valueInfo(outputNames[i] as string, o.value)),
    value_info: carriedTypes(graph, names, new Set(outputNames)),
  };
}

/** Types that inference cannot find again: results of carried nodes. */
const carriedTypes = (graph: Graph, names: ReadonlyMap<Value, string>, outputs: ReadonlySet<string>): ValueInfoProto[] =>
  graph.ops
    .filter((op) => op.kind === "carry")
    .flatMap((op) =>
      op.outputs.filter((v) => v.type.kind !== "unknown" && !outputs.has(names.get(v) as string)).map((v) => valueInfo(names.get(v) as string, v)),
    );

function valueInfo(name: string, v: Value): ValueInfoProto {
  const type = typeProto(v.type);
  return { name, ...(type === null ? {} : { type }), ...(v.doc === undefined ? {} : { doc_string: v.doc }) };
}

function typeProto(t: Type): TypeProto | null {
  if (t.kind === "unknown") return null;
  if (t.kind === "opaque") return typeCodec.decode(Buffer.from(t.proto, "base64"));
  const dim = (d: Dim) => (typeof d === "number" ? { dim_value: d } : d === UNKNOWN_DIM ? {} : { dim_param: d });
  return { tensor_type: { elem_type: elementNumbers[t.elem], ...(t.shape === null ? {} : { shape: { dim: t.shape.map(dim) } }) } };
}

function tensorProto(name: string, type: Type, blob: Blob, store: Writer["store"], doc?: string): TensorProto {
  if (type.kind !== "tensor") throw new TypeError(`constant ${name} is no tensor`);
  const head: TensorProto = {
    name,
    dims: [...((type.shape ?? []) as number[])],
    data_type: elementNumbers[type.elem],
    ...(doc === undefined ? {} : { doc_string: doc }),
  };
  if (type.elem === "string") {
    const t = fromBytes("string", (type.shape ?? []) as number[], blob.bytes());
    return { ...head, string_data: (t.data as readonly string[]).map((s) => new TextEncoder().encode(s)) };
  }
  return { ...head, ...store(blob) };
}

const uniqueIn = (w: Writer, wanted: string): string => {
  let name = wanted;
  for (let i = 1; w.used.has(name); i++) name = `${wanted}_${i}`;
  w.used.add(name);
  return name;
};

function writeOp(graph: Graph, op: Op, w: Writer): void {
  const name = (v: Value | null): string => (v === null ? "" : (w.names.get(v) as string));
  const outputs = op.outputs.map((v) => name(v));
  const doc = op.doc === undefined ? {} : { doc_string: op.doc };
  if (op.kind === "constant") {
    const v = op.outputs[0] as Value;
    if (graph.isUsed(v)) w.initializers.push(tensorProto(name(v), v.type, op.data as Blob, w.store, op.doc));
    return;
  }
  if (op.kind.startsWith("cpu."))
    fail("CEC3012", {
      message: `${describeOp(op)} is an op of the native engine`,
      why: "lowered graphs have no ONNX form",
      help: "emit ONNX before lowering",
      at: { node: op.name },
    });
  if (op.kind === "carry") return writeCarry(op, w, name, outputs);
  if (op.regions.length > 0) return writeControl(op, w, name, outputs);
  const addConstant = (wanted: string, t: Tensor): string => {
    const n = uniqueIn(w, wanted);
    w.initializers.push({ name: n, dims: [...t.dims], data_type: elementNumbers[t.type], raw_data: toBytes(t) });
    return n;
  };
  // Fused parts become nodes behind the op, in the order residual, activation.
  const { activation, clip_min: low, clip_max: high, ...plain } = op.attrs;
  const residual = op.kind === "conv" ? op.inputs[3] : undefined;
  let inputs = op.inputs.map(name);
  if (op.kind === "conv" && inputs.length > 3) inputs = inputs.slice(0, 3);
  const attrs: Attrs = plain;
  const final = outputs[0] ?? "";
  const tail: NodeProto[] = [];
  const stages = (residual != null ? 1 : 0) + (activation !== undefined ? 1 : 0);
  let current = stages === 0 ? final : uniqueIn(w, `${final}/${op.kind}`);
  const head = current;
  if (residual != null) {
    const next = activation === undefined ? final : uniqueIn(w, `${final}/sum`);
    tail.push({ op_type: "Add", name: uniqueIn(w, `${op.name || final}/add`), input: [current, name(residual)], output: [next] });
    current = next;
  }
  if (activation === "relu") tail.push({ op_type: "Relu", name: uniqueIn(w, `${op.name || final}/relu`), input: [current], output: [final] });
  else if (activation === "clip") {
    const bound = (v: unknown, n: string): string =>
      typeof v === "number" && Number.isFinite(v) ? addConstant(`${op.name || final}/${n}`, f32([], [v])) : "";
    const ends = [bound(low, "min"), bound(high, "max")];
    while (ends.length > 0 && ends[ends.length - 1] === "") ends.pop();
    tail.push({ op_type: "Clip", name: uniqueIn(w, `${op.name || final}/clip`), input: [current, ...ends], output: [final] });
  }
  const form = versioned(op, inputs, attrs, w, addConstant);
  while (form.inputs.length > 0 && form.inputs[form.inputs.length - 1] === "") form.inputs.pop();
  w.nodes.push({
    op_type: form.type ?? opTypes[op.kind as keyof typeof opTypes],
    name: op.name,
    input: form.inputs,
    output: stages === 0 ? outputs : [head, ...outputs.slice(1)],
    attribute: [...attributeProtos(form.attrs), ...(form.protos ?? [])].sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1)),
    ...doc,
  });
  w.nodes.push(...tail);
}

interface Form {
  readonly type?: string;
  inputs: string[];
  attrs: Attrs;
  readonly protos?: NonNullable<NodeProto["attribute"]>;
}

/** The op in the form of the writer's opset. */
function versioned(op: Op, inputs: string[], attrs: Attrs, w: Writer, addConstant: (name: string, t: Tensor) => string): Form {
  if (op.kind.startsWith("reduce_") && op.kind !== "reduce_sum" && w.opset < 18) {
    const axes = constantTensor(op.inputs[1] ?? null);
    return {
      inputs: inputs.slice(0, 1),
      attrs: axes === null || axes.data.length === 0 ? attrs : { ...attrs, axes: Array.from(axes.data as BigInt64Array, Number) },
    };
  }
  switch (op.kind) {
    case "cast":
      return { inputs, attrs: { ...attrs, to: elementNumbers[attrs["to"] as ElementType] } };
    case "quantize_linear":
    case "dequantize_linear":
      return {
        inputs,
        attrs: attrs["output_dtype"] === undefined ? attrs : { ...attrs, output_dtype: elementNumbers[attrs["output_dtype"] as ElementType] },
      };
    case "constant_of_shape": {
      const { value, value_type: type } = attrs;
      if (value === undefined) return { inputs, attrs: {} };
      const raw = (value as Blob).bytes();
      return {
        inputs,
        attrs: {},
        protos: [{ name: "value", type: attributeTypes.TENSOR, t: { dims: [1], data_type: elementNumbers[type as ElementType], raw_data: raw } }],
      };
    }
    case "split": {
      if (op.inputs[1] != null || w.opset < 18) return { inputs, attrs };
      return { inputs, attrs: { ...attrs, num_outputs: op.outputs.length } };
    }
    case "resize": {
      // An absent scale with sizes is an empty string from opset 13 on; both absent is not allowed.
      return { inputs: inputs.length === 1 ? [...inputs, "", addConstant(`${op.name || "resize"}/scales`, f32([0], []))] : inputs, attrs };
    }
    default:
      return { inputs, attrs };
  }
}

function writeCarry(op: Op, w: Writer, name: (v: Value | null) => string, outputs: readonly string[]): void {
  const node = nodeCodec.decode((op.attrs["node"] as Blob).bytes());
  const captures = (op.attrs["captures"] as number | undefined) ?? 0;
  const operands = op.inputs.slice(0, op.inputs.length - captures);
  const was = (op.attrs["capture_names"] as readonly string[] | undefined) ?? [];
  const renamed = new Map(was.map((n, i) => [n, name(op.inputs[op.inputs.length - captures + i] ?? null)]));
  if ([...renamed].some(([a, b]) => a !== b))
    for (const a of node.attribute ?? []) for (const g of [a.g, ...(a.graphs ?? [])]) if (g != null) renameFree(g, renamed);
  w.nodes.push({
    ...node,
    op_type: node.op_type ?? "",
    name: op.name,
    input: operands.map(name),
    output: [...outputs],
    ...(op.doc === undefined ? {} : { doc_string: op.doc }),
  });
}

/** Follows renames of captured values into a carried body; names that the body defines itself are its own. */
function renameFree(g: GraphProto, names: ReadonlyMap<string, string>): void {
  const own = new Set([
    ...(g.input ?? []).map((v) => v.name),
    ...(g.initializer ?? []).map((t) => t.name),
    ...(g.node ?? []).flatMap((n) => n.output ?? []),
  ]);
  const to = (n: string): string => (own.has(n) ? n : (names.get(n) ?? n));
  const visible = new Map([...names].filter(([n]) => !own.has(n)));
  for (const n of g.node ?? []) {
    n.input = (n.input ?? []).map(to);
    for (const a of n.attribute ?? []) for (const inner of [a.g, ...(a.graphs ?? [])]) if (inner != null) renameFree(inner, visible);
  }
  for (const o of g.output ?? []) o.name = to(o.name ?? "");
}

function writeControl(op: Op, w: Writer, name: (v: Value | null) => string, outputs: readonly string[]): void {
  const captures = (op.attrs["captures"] as number | undefined) ?? 0;
  const own = op.inputs.length - captures;
  const taken = op.inputs.slice(own) as Value[];
  const first = (op.attrs["then_captures"] as number | undefined) ?? taken.length;
  const attributeNames = op.kind === "if" ? ["then_branch", "else_branch"] : ["body"];
  // Names of the whole enclosing graph are taken: ONNX forbids a body to define a name that is visible from outside.
  const outer = new Set([...w.used, ...w.names.values()]);
  const graphs = op.regions.map((region, i) => {
    const mine = op.kind !== "if" ? taken : i === 0 ? taken.slice(0, first) : taken.slice(first);
    const inputs = region.inputs.slice(region.inputs.length - mine.length);
    return graphProto(region, w.opset, w.store, outer, new Map(inputs.map((v, k) => [v, name(mine[k] as Value)])));
  });
  const { captures: _c, then_captures: _t, ...attrs } = op.attrs;
  w.nodes.push({
    op_type: opTypes[op.kind as keyof typeof opTypes],
    name: op.name,
    input: op.inputs.slice(0, own).map(name),
    output: [...outputs],
    attribute: [...attributeProtos(attrs), ...graphs.map((g, i) => ({ name: attributeNames[i] as string, type: attributeTypes.GRAPH, g }))],
    ...(op.doc === undefined ? {} : { doc_string: op.doc }),
  });
}
