/**
 * IR to ONNX. The default opset is 17, raised where an operator, an attribute or a type needs a newer one, and said so. Fused attributes are written
 * as nodes of their own; engine kinds (`cpu.*`) and those of training (`train.*`) cannot be exported.
 */
import { fail } from "../diagnostics/index.js";
import { type Attrs, constantTensor, type Graph, type Op, type Value } from "../ir/graph.js";
import { describeOp } from "../ir/infer.js";
import { type Blob, f32, fromBytes, fromNumbers, type Tensor, toBytes } from "../ir/tensor.js";
import { type Dim, type ElementType, type Type, UNKNOWN_DIM } from "../ir/types.js";
import { attributeProtos } from "./attributes.js";
import { elementNumbers } from "./elements.js";
import { opTypes } from "./op-types.js";
import { chooseOpset, DEFAULT_OPSET, irVersionOf, NEWEST_OPSET, OLDEST_EXPORT } from "./opsets.js";
import {
  attributeTypes,
  type FunctionProto,
  functionCodec,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  nodeCodec,
  type TensorProto,
  type TypeProto,
  typeCodec,
  type ValueInfoProto,
} from "./schema.js";
import { joined, modelParts } from "./serialize.js";

/** A protobuf message holds less than 2 GiB; weights beyond this go to a file of their own. */
const EXTERNAL_ABOVE = 1_900_000_000;
/** Initializers below this size stay in the model file even when weights are external. */
const EXTERNAL_LEAST = 1024;
/** Start of each tensor in the external file: memory-mapping readers want pages. */
const EXTERNAL_ALIGNMENT = 4096;

export interface ExportOptions {
  /** Wanted opset, 13 to 28; ONNX Runtime 1.30 runs up to 26. */
  readonly opset?: number;
  readonly producer?: string;
  readonly producerVersion?: string;
  /** Name of the file that takes the weights; asked for when the model would be too large for one file. */
  readonly externalData?: string;
}

export interface ExportedModel {
  /** The file in pieces, in order; weights among them are views of the graph's own, so that writing takes no second copy. */
  readonly pieces: readonly Uint8Array[];
  readonly byteLength: number;
  /** The file as a whole, put together when it is asked for. */
  readonly bytes: Uint8Array;
  readonly opset: number;
  /** Why the opset is not the one asked for, one line each; empty when it is. */
  readonly raised: readonly string[];
  /** Weights in a file of their own: written at these offsets, in order. */
  readonly external: { readonly name: string; readonly parts: readonly { readonly offset: number; readonly blob: Blob }[] } | null;
}

interface Writer {
  readonly opset: number;
  readonly names: ReadonlyMap<Value, string>;
  readonly used: Set<string>;
  readonly nodes: NodeProto[];
  readonly claim: (wanted: string) => string;
  /** ONNX Runtime refuses two nodes of one name. */
  readonly claimNode: (wanted: string) => string;
  readonly initializers: TensorProto[];
  /** Where the data of an initializer goes. */
  readonly store: (blob: Blob) => Pick<TensorProto, "raw_data" | "external_data" | "data_location">;
}

const weightBytes = (graph: Graph): number =>
  graph.ops.reduce((n, op) => n + (op.data?.byteLength ?? 0) + op.regions.reduce((m, r) => m + weightBytes(r), 0), 0);

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
  const pieces = piecesOf({
    ir_version: irVersionOf(opset, (meta.functions ?? []).length > 0),
    opset_import: [{ domain: "", version: opset }, ...domains.sort(([a], [b]) => (a < b ? -1 : 1)).map(([domain, version]) => ({ domain, version }))],
    producer_name: options.producer ?? "cec",
    producer_version: options.producerVersion ?? "",
    domain: meta.domain ?? "",
    model_version: meta.modelVersion ?? 0,
    doc_string: meta.doc ?? "",
    graph: proto,
    metadata_props: Object.entries(meta.properties ?? {}).map(([key, value]) => ({ key, value })),
    functions: (meta.functions ?? []).map((f) => atOpset(functionCodec.decode(f.bytes()), opset)),
  });
  let bytes: Uint8Array | undefined;
  return {
    pieces,
    byteLength: pieces.reduce((n, p) => n + p.length, 0),
    get bytes() {
      bytes ??= joined(pieces);
      return bytes;
    },
    opset,
    raised,
    external: parts.length === 0 ? null : { name: options.externalData as string, parts },
  };
}

function piecesOf(model: ModelProto): Uint8Array[] {
  try {
    return modelParts(model);
  } catch (error) {
    if (!/max depth/.test((error as Error).message)) throw error;
    return fail("CEC3011", { message: "control flow nests too deeply for an ONNX file", why: "messages nest at most 100 deep in each other" });
  }
}

/** Bodies of functions are resolved at the model's opset; `chooseOpset` has seen that they mean the same there. */
const atOpset = (f: FunctionProto, opset: number): FunctionProto => ({
  ...f,
  opset_import: (f.opset_import ?? []).map((o) => ((o.domain ?? "") === "" || o.domain === "ai.onnx" ? { ...o, version: opset } : o)),
});

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
  const claim = namer(used);
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
  const writer: Writer = { opset, names, used, claim, nodes: [], claimNode: namer(new Set()), initializers: [], store };
  for (const op of graph.ops) writeOp(graph, op, writer);
  for (const { from, to } of aliases) {
    if (names.get(from) !== to)
      writer.nodes.push({ op_type: "Identity", name: writer.claimNode(`${to}/identity`), input: [names.get(from) as string], output: [to] });
  }
  // Operands that became attributes at this opset leave constants that nobody reads.
  const read = new Set(outputNames);
  namesRead(writer.nodes, read);
  return {
    name: graph.name || "graph",
    doc_string: graph.meta.graphDoc ?? "",
    node: writer.nodes,
    initializer: writer.initializers.filter((t) => read.has(t.name as string)),
    input: formal.map((v) => valueInfo(names.get(v) as string, v)),
    output: graph.outputs.map((o, i) => {
      const doc = graph.meta.outputDocs?.[o.name];
      return { ...valueInfo(outputNames[i] as string, o.value), doc_string: doc ?? "" };
    }),
    metadata_props: Object.entries(graph.meta.graphProperties ?? {}).map(([key, value]) => ({ key, value })),
    value_info: carriedTypes(graph, names, new Set(outputNames)),
  };
}

/** Names that nodes, or bodies in them, read. */
function namesRead(nodes: readonly NodeProto[], into: Set<string>): void {
  for (const n of nodes) {
    for (const i of n.input ?? []) into.add(i);
    for (const a of n.attribute ?? [])
      for (const g of [a.g, ...(a.graphs ?? [])]) {
        namesRead(g?.node ?? [], into);
        for (const o of g?.output ?? []) into.add(o.name ?? "");
      }
  }
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

/** Gives names that `used` does not hold, and adds them to it: the wanted one, or that with a number behind. */
function namer(used: Set<string>): (wanted: string) => string {
  const next = new Map<string, number>();
  return (wanted) => {
    let name = wanted;
    let i = next.get(wanted) ?? 1;
    for (; used.has(name); i++) name = `${wanted}_${i}`;
    if (name !== wanted) next.set(wanted, i);
    used.add(name);
    return name;
  };
}

/** A node may be without a name, and any number of them is. */
const nodeName = (op: Op, w: Writer): string => (op.name === "" ? "" : w.claimNode(op.name));

function writeOp(graph: Graph, op: Op, w: Writer): void {
  const name = (v: Value | null): string => (v === null ? "" : (w.names.get(v) as string));
  const outputs = op.outputs.map((v) => name(v));
  const doc = op.doc === undefined ? {} : { doc_string: op.doc };
  if (op.kind === "constant") {
    const v = op.outputs[0] as Value;
    if (graph.isUsed(v)) w.initializers.push(tensorProto(name(v), v.type, op.data as Blob, w.store, op.doc));
    return;
  }
  if (op.kind.startsWith("cpu.") || op.kind.startsWith("train."))
    fail("CEC3012", {
      message: `${describeOp(op)} is an op of ${op.kind.startsWith("cpu.") ? "the native engine" : "training"}`,
      why: "lowered and training graphs have no ONNX form",
      help: "emit ONNX before lowering, from the graph that is trained",
      at: { node: op.name },
    });
  if (op.kind === "carry") return writeCarry(op, w, name, outputs);
  if (op.regions.length > 0) return writeControl(op, w, name, outputs);
  const addConstant = (wanted: string, t: Tensor): string => {
    const n = w.claim(wanted);
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
  let current = stages === 0 ? final : w.claim(`${final}/${op.kind}`);
  const head = current;
  if (residual != null) {
    const next = activation === undefined ? final : w.claim(`${final}/sum`);
    tail.push({ op_type: "Add", name: w.claimNode(`${op.name || final}/add`), input: [current, name(residual)], output: [next] });
    current = next;
  }
  if (activation === "relu") tail.push({ op_type: "Relu", name: w.claimNode(`${op.name || final}/relu`), input: [current], output: [final] });
  else if (activation === "clip") {
    const bound = (v: unknown, n: string): string =>
      typeof v === "number" && Number.isFinite(v) ? addConstant(`${op.name || final}/${n}`, fromNumbers(elementOf(op.outputs[0]), [], [v])) : "";
    const ends = [bound(low, "min"), bound(high, "max")];
    while (ends.length > 0 && ends[ends.length - 1] === "") ends.pop();
    tail.push({ op_type: "Clip", name: w.claimNode(`${op.name || final}/clip`), input: [current, ...ends], output: [final] });
  }
  const form = versioned(op, inputs, attrs, w, addConstant);
  while (form.inputs.length > 0 && form.inputs[form.inputs.length - 1] === "") form.inputs.pop();
  w.nodes.push({
    op_type: form.type ?? opTypes[op.kind as keyof typeof opTypes],
    name: nodeName(op, w),
    input: form.inputs,
    output: stages === 0 ? outputs : [head, ...outputs.slice(1)],
    attribute: [...attributeProtos(form.attrs), ...(form.protos ?? [])].sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1)),
    ...doc,
  });
  w.nodes.push(...tail);
}

const elementOf = (v: Value | undefined): ElementType => (v?.type.kind === "tensor" ? v.type.elem : "f32");

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
    name: nodeName(op, w),
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
    name: nodeName(op, w),
    input: op.inputs.slice(0, own).map(name),
    output: [...outputs],
    attribute: [...attributeProtos(attrs), ...graphs.map((g, i) => ({ name: attributeNames[i] as string, type: attributeTypes.GRAPH, g }))],
    ...(op.doc === undefined ? {} : { doc_string: op.doc }),
  });
}
