/**
 * ONNX to IR. Opsets 7 to 24; every operator that the IR does not know, and every node of another domain, is carried unchanged.
 * Hostile input ends in a coded error (CEC3xxx, CEC4001): sizes, names, nesting and references are checked before they are used.
 */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { fail } from "../diagnostics/index.js";
import { type AttrValue, Graph, type ModelMeta, type Op, type Value } from "../ir/graph.js";
import { inferOp } from "../ir/infer.js";
import { type OpKind, opDefinition } from "../ir/ops/index.js";
import { type Blob, blobOf, fromBytes, memoryBlob, type Tensor, tensor } from "../ir/tensor.js";
import { type Dim, type Type, tensorType, UNKNOWN, UNKNOWN_DIM } from "../ir/types.js";
import { hasReferences, plainAttributes, protoAttribute } from "./attributes.js";
import { blobOfProto, elementOf, type TensorSource } from "./elements.js";
import { type Draft, formerNames, type NormalizeContext, normalize } from "./normalize.js";
import { kindOf } from "./op-types.js";
import { changedSince, NEWEST_OPSET, OLDEST_OPSET } from "./opsets.js";
import {
  functionCodec,
  type GraphProto,
  type ModelProto,
  modelCodec,
  type NodeProto,
  nodeCodec,
  type TypeProto,
  tensorCodec,
  toInt,
  typeCodec,
  type ValueInfoProto,
} from "./schema.js";

export interface ImportOptions {
  /** Name in messages, and location of ops. */
  readonly file?: string;
  /** Folder for external data; `null` refuses it. */
  readonly baseDir?: string | null;
}

/** Reads a model file. */
export function importOnnxFile(path: string): Graph {
  let bytes: Uint8Array;
  try {
    if (!statSync(path).isFile()) throw new Error("it is not a file");
    bytes = readFileSync(path);
  } catch (error) {
    return fail("CEC3001", { message: `cannot read ${path}`, why: (error as Error).message, help: "check the path of the model" });
  }
  return importOnnx(bytes, { file: path, baseDir: realpathSync(dirname(path)) });
}

/** Reads a model from its bytes. Weights stay views of `bytes`. */
export function importOnnx(bytes: Uint8Array, options: ImportOptions = {}): Graph {
  const file = options.file ?? "model.onnx";
  const damaged = (why: string): never =>
    fail("CEC3001", { message: `${file} is no ONNX model`, why, help: "the file is truncated, damaged, or of another format", at: { file } });
  if (bytes.length === 0) damaged("it is empty");
  let model: ModelProto;
  try {
    model = modelCodec.decode(bytes);
  } catch (error) {
    if (/max depth/.test((error as Error).message))
      return fail("CEC3011", {
        message: `${file} nests too deeply`,
        why: "its messages stand more than 100 deep in each other, where protobuf readers stop: about 30 levels of control flow",
        help: "the file is damaged or hostile",
        at: { file },
      });
    return damaged((error as Error).message);
  }
  if (model.graph == null) return damaged("it holds no graph");
  const opsets = Object.fromEntries((model.opset_import ?? []).map((o) => [o.domain === "ai.onnx" ? "" : (o.domain ?? ""), toInt(o.version)]));
  const opset = opsetOf(model.graph, opsets[""] ?? (Object.keys(opsets).length > 0 ? NEWEST_OPSET : 1), file);
  const state: State = { file, opset, source: { baseDir: options.baseDir ?? null } };
  const { graph } = importGraph(model.graph, state, null);
  graph.meta = metaOf(model, opsets);
  return graph;
}

/** The opset to read the graph by: the file's, or 7 for an older one that uses no operator which changed until then. */
function opsetOf(graph: GraphProto, opset: number, file: string): number {
  const old = opset < OLDEST_OPSET;
  if (!old && opset <= NEWEST_OPSET) return opset;
  const changed = opset < 1 ? "" : old ? changedSince(graph.node ?? [], opset) : "";
  if (changed === undefined) return OLDEST_OPSET;
  return fail("CEC3002", {
    message: `${file} is of opset ${opset}`,
    why: `cec imports opsets ${OLDEST_OPSET} to ${NEWEST_OPSET}${changed === "" ? "" : `; ${changed} changed between opset ${opset} and ${OLDEST_OPSET}`}`,
    help: old ? "export the model again from its framework with opset 13 or later" : "update cec, or export the model with an older opset",
    at: { file },
  });
}

function metaOf(model: ModelProto, opsets: Record<string, number>): ModelMeta {
  const text = (v: string | undefined): string | undefined => (v === undefined || v === "" ? undefined : v);
  const record = (entries: readonly (readonly [string, string])[]): Record<string, string> | undefined =>
    entries.length === 0 ? undefined : Object.fromEntries(entries);
  const entries = Object.entries({
    producer: text(model.producer_name),
    producerVersion: text(model.producer_version),
    domain: text(model.domain),
    modelVersion: model.model_version === undefined || toInt(model.model_version) === 0 ? undefined : toInt(model.model_version),
    doc: text(model.doc_string),
    irVersion: toInt(model.ir_version),
    graphDoc: text(model.graph?.doc_string),
    opsets,
    properties: record((model.metadata_props ?? []).map((p) => [p.key ?? "", p.value ?? ""])),
    graphProperties: record((model.graph?.metadata_props ?? []).map((p) => [p.key ?? "", p.value ?? ""])),
    outputDocs: record((model.graph?.output ?? []).flatMap((o) => (o.doc_string ? [[o.name ?? "", o.doc_string]] : []))),
    functions: (model.functions ?? []).length === 0 ? undefined : (model.functions ?? []).map((f) => memoryBlob(functionCodec.encode(f))),
  }).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries) as ModelMeta;
}

interface State {
  readonly file: string;
  readonly opset: number;
  readonly source: TensorSource;
}

/** Names that a region can see outside itself. */
interface Scope {
  /** Finds or captures a value of an enclosing graph. */
  find(name: string): Value | undefined;
}

interface ImportedGraph {
  readonly graph: Graph;
  /** Values of the enclosing graph that the region reads, in the order of its last inputs. */
  readonly captures: readonly Value[];
}

function typeOfProto(t: TypeProto | null | undefined, where: string): Type {
  if (t == null) return UNKNOWN;
  if (t.tensor_type != null) {
    const elem = t.tensor_type.elem_type ?? 0;
    if (elem === 0) return UNKNOWN;
    const shape = t.tensor_type.shape;
    if (shape == null) return tensorType(elementOf(elem, where), null);
    const dims = (shape.dim ?? []).map((d): Dim => {
      // Decoded messages inherit zero defaults: only an own field was in the file.
      if (Object.hasOwn(d, "dim_value")) {
        const v = toInt(d.dim_value);
        // Exporters write -1 and 0 for dynamic axes of inputs; 0 alone is a valid size.
        if (v === -1) return UNKNOWN_DIM;
        if (!Number.isSafeInteger(v) || v < 0) fail("CEC3004", { message: `${where} has dimension ${v}`, help: "the file is damaged" });
        return v;
      }
      const name = (d.dim_param ?? "").trim();
      return name === "" || name === "?" ? UNKNOWN_DIM : /^\d+$/.test(name) ? `d${name}` : name.replace(/[,\]\n]/g, "_");
    });
    if (dims.filter((d): d is number => typeof d === "number").reduce((a, b) => a * b, 1) > Number.MAX_SAFE_INTEGER)
      fail("CEC3004", { message: `${where} is larger than any memory`, help: "the file is damaged" });
    return tensorType(elementOf(elem, where), dims);
  }
  if (t.sequence_type == null && t.map_type == null && t.opaque_type == null && t.optional_type == null && t.sparse_tensor_type == null)
    return UNKNOWN;
  return { kind: "opaque", proto: Buffer.from(typeCodec.encode(t)).toString("base64") };
}

/** Names that nodes read from outside themselves: operands, and free names of their bodies. */
function reads(node: NodeProto): Set<string> {
  const out = new Set((node.input ?? []).filter((n) => n !== ""));
  for (const a of node.attribute ?? []) {
    for (const g of [a.g, ...(a.graphs ?? [])]) {
      if (g == null) continue;
      const own = new Set([...(g.input ?? []).map((v) => v.name), ...(g.initializer ?? []).map((t) => t.name)]);
      for (const n of g.node ?? []) for (const o of n.output ?? []) own.add(o);
      for (const n of g.node ?? []) for (const r of reads(n)) if (!own.has(r)) out.add(r);
      for (const o of g.output ?? []) if (o.name !== undefined && !own.has(o.name)) out.add(o.name);
    }
  }
  return out;
}

/** Nodes in an order in which each comes after what it reads; the file's own order where that holds. */
function ordered(nodes: readonly NodeProto[], known: ReadonlySet<string>, where: (n: NodeProto) => string): readonly NodeProto[] {
  const producer = new Map<string, number>();
  nodes.forEach((n, i) => {
    for (const o of n.output ?? []) {
      if (o === "") continue;
      if (producer.has(o) || known.has(o))
        fail("CEC3007", {
          message: `the value "${o}" is produced twice`,
          at: { node: n.name ?? "", tensor: o },
          help: "the file breaks ONNX's rule of single assignment",
        });
      producer.set(o, i);
    }
  });
  const needs = nodes.map((n) => new Set([...reads(n)].flatMap((r) => producer.get(r) ?? [])));
  if (needs.every((s, i) => [...s].every((p) => p < i))) return nodes;
  const users = nodes.map(() => [] as number[]);
  const waiting = needs.map((s, i) => {
    for (const p of s) users[p]?.push(i);
    return s.size;
  });
  const ready = waiting.flatMap((w, i) => (w === 0 ? [i] : []));
  const out: NodeProto[] = [];
  for (let at = 0; at < ready.length; at++) {
    const i = ready[at] as number;
    out.push(nodes[i] as NodeProto);
    for (const u of users[i] as number[]) {
      waiting[u]!--;
      if (waiting[u] === 0) ready.push(u);
    }
  }
  if (out.length < nodes.length) {
    const stuck = nodes.find((_, i) => (waiting[i] as number) > 0) as NodeProto;
    fail("CEC3008", { message: `the graph has a cycle through ${where(stuck)}`, at: { node: stuck.name ?? "" }, help: "the file is damaged" });
  }
  return out;
}

function importGraph(proto: GraphProto, state: State, outer: Scope | null): ImportedGraph {
  const graph = new Graph(proto.name ?? "");
  const scope = new Map<string, Value>();
  const captures: Value[] = [];
  const where = (n: NodeProto): string => `${n.op_type ?? "node"} "${n.name || n.output?.[0] || ""}"`;
  if ((proto.sparse_initializer ?? []).length > 0)
    fail("CEC3010", { message: "the graph has sparse initializers", why: "cec does not read them", help: "store the weights dense" });
  const initializers = new Set((proto.initializer ?? []).map((t) => t.name ?? ""));
  // Formal inputs. Initializers may be listed as inputs too (IR version 3): they are constants.
  for (const v of proto.input ?? []) {
    const name = v.name ?? "";
    if (initializers.has(name)) continue;
    if (scope.has(name)) fail("CEC3007", { message: `the graph has two inputs "${name}"`, at: { tensor: name } });
    if (name === "") fail("CEC3010", { message: "a graph input has no name" });
    scope.set(name, graph.addInput(name, typeOfProto(v.type, `input "${name}"`), v.doc_string || undefined));
  }
  for (const t of proto.initializer ?? []) {
    const name = t.name ?? "";
    if (scope.has(name)) fail("CEC3007", { message: `the initializer "${name}" is defined twice`, at: { tensor: name } });
    const { elem, dims, blob } = blobOfProto(t, state.source, `initializer "${name}"`);
    scope.set(name, addConstant(graph, name, tensorType(elem, dims), blob, t.doc_string));
  }
  const nodes = ordered(proto.node ?? [], new Set(scope.keys()), where);
  const declared = new Map([...(proto.value_info ?? []), ...(proto.output ?? [])].map((v) => [v.name ?? "", v]));
  // A name that no node of this region makes may come from an enclosing graph: it becomes a captured input.
  const find = (name: string): Value | undefined => {
    const own = scope.get(name);
    if (own !== undefined || outer === null) return own;
    const found = outer.find(name);
    if (found === undefined) return undefined;
    captures.push(found);
    const input = graph.addInput(name, found.type);
    if (found.content !== undefined) input.content = found.content;
    scope.set(name, input);
    return input;
  };
  for (const node of nodes) importNode(node, { graph, state, find, scope, declared, label: where(node) });
  for (const o of proto.output ?? []) {
    const name = o.name ?? "";
    const value =
      find(name) ??
      fail("CEC3006", {
        message: `the output "${name}" is made by no node`,
        at: { tensor: name },
        help: "the file is damaged, or was cut from a larger model",
      });
    adopt(value, o);
    graph.addOutput(name, value);
  }
  return { graph, captures };
}

function addConstant(graph: Graph, name: string, type: Type, data: Blob, doc?: string): Value {
  const op = graph.addOp({ kind: "constant", inputs: [], types: [type], outputNames: [name], data, ...(doc ? { doc } : {}) });
  return op.outputs[0] as Value;
}

/** Takes over what a declaration knows and inference does not: element types, ranks, symbols. Declarations never override inference. */
function adopt(value: Value, declaration: ValueInfoProto): void {
  const type = typeOfProto(declaration.type, `value "${declaration.name ?? ""}"`);
  if (value.type.kind === "unknown") value.type = type;
  else if (
    value.type.kind === "tensor" &&
    type.kind === "tensor" &&
    type.elem === value.type.elem &&
    type.shape !== null &&
    value.producer?.kind !== "constant"
  ) {
    const { shape } = value.type;
    if (shape === null) value.type = { ...value.type, shape: type.shape };
    else if (shape.length === type.shape.length)
      value.type = { ...value.type, shape: shape.map((d, i) => (d === UNKNOWN_DIM ? (type.shape?.[i] as Dim) : d)) };
  }
}

interface NodeContext {
  readonly graph: Graph;
  readonly state: State;
  readonly find: (name: string) => Value | undefined;
  readonly scope: Map<string, Value>;
  readonly declared: ReadonlyMap<string, ValueInfoProto>;
  readonly label: string;
}

function importNode(node: NodeProto, c: NodeContext): void {
  const { graph, state } = c;
  const at = { node: node.name || node.output?.[0] || "", file: state.file };
  const reject = (message: string, why?: string): never =>
    fail("CEC3010", { message: `${c.label}: ${message}`, ...(why === undefined ? {} : { why }), at });
  const inputs = (node.input ?? []).map((name): Value | null => {
    if (name === "") return null;
    return (
      c.find(name) ??
      fail("CEC3006", {
        message: `${c.label} reads "${name}", which nothing makes`,
        at: { ...at, tensor: name },
        help: "the file is damaged, or was cut from a larger model",
      })
    );
  });
  const names = [...(node.output ?? [])];
  while (names.length > 0 && names[names.length - 1] === "") names.pop();
  const define = (op: Op, outputs: readonly string[]): void => {
    outputs.forEach((name, i) => {
      if (name === "") return;
      const v = op.outputs[i] as Value;
      graph.rename(v, name);
      c.scope.set(name, v);
      const d = c.declared.get(name);
      if (d !== undefined) adopt(v, d);
    });
  };
  const info = { name: node.name ?? "", ...(node.doc_string ? { doc: node.doc_string } : {}) };
  const domain = node.domain === "ai.onnx" ? "" : (node.domain ?? "");
  const former = domain === "" ? formerNames[node.op_type ?? ""] : undefined;
  const kind = domain === "" ? (former?.kind ?? kindOf(node.op_type ?? "")) : undefined;
  if (domain === "" && node.op_type === "Constant") {
    const { type, data } = constantNode(node, state, reject);
    const v = addConstant(graph, names[0] ?? "", type, data, node.doc_string);
    (v.producer as Op).name = node.name ?? "";
    c.scope.set(names[0] ?? "", v);
    return;
  }
  if (kind === undefined || hasReferences(node)) return carry(node, names, inputs, c, define);
  if (kind === "if" || kind === "loop" || kind === "scan") {
    if (kind === "scan" && state.opset < 9) return carry(node, names, inputs, c, define);
    return importControl(kind, node, names, inputs, c, define, reject, info);
  }
  const draft: Draft = { kind, inputs, attrs: attributesOf(node, kind, c.label), outputs: Math.max(1, names.length) };
  const before = graph.ops.length;
  let wrapped: Parameters<NormalizeContext["wrap"]>[0] | undefined;
  const base = node.name || names[0] || kind;
  const context: NormalizeContext = {
    opset: state.opset,
    constant: (t: Tensor) => addConstant(graph, `${base}.c`, tensorType(t.type, t.dims), blobOf(t)),
    insert: (k, operands, attrs = {}) =>
      addInferred(graph, { kind: k, inputs: operands, attrs, types: [UNKNOWN], outputNames: [`${base}.${k}`], name: `${base}.${k}` })
        .outputs[0] as Value,
    wrap(make) {
      wrapped = make;
    },
    elementName: (n) => elementOf(n, c.label),
    fail: reject,
  };
  const verdict = normalize(draft, context, former?.handle);
  const accepted = verdict === "ok" && opDefinition(kind)?.attrs.safeParse(draft.attrs).success === true;
  if (!accepted) {
    for (const op of graph.ops.slice(before).reverse()) graph.removeOp(op);
    return carry(node, names, inputs, c, define);
  }
  const definition = opDefinition(kind);
  const [least, most] = definition?.inputs ?? [0, 0];
  if (draft.inputs.length < least || draft.inputs.length > most)
    reject(`it has ${draft.inputs.length} operands`, `${node.op_type} takes ${least} to ${most}`);
  const [few, many] = definition?.outputs ?? [0, 0];
  const outputs = Math.max(few, names.length);
  if (outputs > many) reject(`it has ${outputs} results`, `${node.op_type} gives ${few} to ${many}`);
  if (names.length < few && few === 1) reject("it has no result");
  const op = addInferred(graph, {
    kind: draft.kind,
    inputs: draft.inputs,
    attrs: draft.attrs,
    types: new Array<Type>(outputs).fill(UNKNOWN),
    outputNames: new Array<string>(outputs).fill(`${base}.out`),
    ...info,
  });
  if (wrapped === undefined) define(op, names);
  else {
    const outer = wrapped(op.outputs[0] as Value);
    define(addInferred(graph, { ...outer, types: [UNKNOWN], name: `${base}.${outer.kind}` }), names);
  }
}

/** Adds an op and infers its types; operand faults come out as CEC4001 with the node's name. */
function addInferred(graph: Graph, spec: Parameters<Graph["addOp"]>[0]): Op {
  const op = graph.addOp(spec);
  inferOp(graph, op);
  return op;
}

function attributesOf(node: NodeProto, kind: OpKind, label: string): Record<string, AttrValue> {
  const attrs = plainAttributes(node, label);
  if (kind === "constant_of_shape") {
    const t = protoAttribute(node, "value")?.t;
    if (t != null) {
      const { elem, dims, blob } = blobOfProto(t, { baseDir: null }, `${label} value`);
      if (dims.reduce((a, b) => a * b, 1) !== 1)
        fail("CEC3010", { message: `${label}: value has shape [${dims.join(", ")}]`, why: "one element is expected" });
      return { value: blob, value_type: elem };
    }
  }
  return attrs;
}

function constantNode(node: NodeProto, state: State, reject: (message: string, why?: string) => never): { readonly type: Type; readonly data: Blob } {
  const made = (t: Tensor): { readonly type: Type; readonly data: Blob } => ({ type: tensorType(t.type, t.dims), data: blobOf(t) });
  const attrs = plainAttributes(node, "Constant");
  const t = protoAttribute(node, "value")?.t;
  if (t != null) {
    const { elem, dims, blob } = blobOfProto(t, state.source, `Constant "${node.output?.[0] ?? ""}"`);
    return { type: tensorType(elem, dims), data: blob };
  }
  const [name] = Object.keys(attrs);
  const v = name === undefined ? undefined : attrs[name];
  switch (name) {
    case "value_float":
      return made(tensor("f32", [], [v as number]));
    case "value_floats":
      return made(tensor("f32", [(v as number[]).length], v as number[]));
    case "value_int":
      return made(tensor("i64", [], [v as number]));
    case "value_ints":
      return made(tensor("i64", [(v as number[]).length], v as number[]));
    case "value_string":
      return made(tensor("string", [], [v as string]));
    case "value_strings":
      return made(tensor("string", [(v as string[]).length], v as string[]));
    default:
      return reject("Constant without a value that cec reads", "sparse values are not read");
  }
}

/** The node as bytes. Names of values that bodies capture are kept beside, so that export can follow renames. */
function carry(
  node: NodeProto,
  names: readonly string[],
  inputs: readonly (Value | null)[],
  c: NodeContext,
  define: (op: Op, outputs: readonly string[]) => void,
): void {
  const direct = new Set(node.input ?? []);
  const captured = [...reads(node)].filter((n) => !direct.has(n)).sort();
  const values = captured.map(
    (n) => c.find(n) ?? fail("CEC3006", { message: `${c.label} reads "${n}", which nothing makes`, at: { node: node.name ?? "", tensor: n } }),
  );
  const { input: _i, output: _o, name: _n, doc_string: _d, ...rest } = node;
  const types = names.map((n) => typeOfProto(c.declared.get(n)?.type, `value "${n}"`));
  const op = c.graph.addOp({
    kind: "carry",
    inputs: [...inputs, ...values],
    attrs: {
      domain: node.domain ?? "",
      op_type: node.op_type ?? "",
      ...(node.overload ? { overload: node.overload } : {}),
      node: memoryBlob(nodeCodec.encode(rest)),
      ...(captured.length === 0 ? {} : { captures: captured.length, capture_names: captured }),
    },
    types,
    outputNames: names.map((n) => (n === "" ? `${node.name || node.op_type}.unused` : n)),
    name: node.name ?? "",
    ...(node.doc_string ? { doc: node.doc_string } : {}),
  });
  define(op, names);
}

function importControl(
  kind: "if" | "loop" | "scan",
  node: NodeProto,
  names: readonly string[],
  inputs: readonly (Value | null)[],
  c: NodeContext,
  define: (op: Op, outputs: readonly string[]) => void,
  reject: (message: string, why?: string) => never,
  info: { readonly name: string; readonly doc?: string },
): void {
  const bodies = (kind === "if" ? ["then_branch", "else_branch"] : ["body"]).map(
    (name) => protoAttribute(node, name)?.g ?? reject(`the attribute ${name} is missing`),
  );
  const attrs = attributesOf(node, kind, c.label);
  const imported = bodies.map((g) => importGraph(g, c.state, { find: c.find }));
  const captured = imported.flatMap((i) => i.captures);
  const first = imported[0]?.captures.length ?? 0;
  const operands = [...inputs];
  if (kind === "loop") while (operands.length < 2) operands.push(null);
  const op = addInferred(c.graph, {
    kind,
    inputs: [...operands, ...captured],
    attrs: {
      ...attrs,
      ...(captured.length === 0 ? {} : { captures: captured.length }),
      ...(kind === "if" && captured.length > 0 ? { then_captures: first } : {}),
    },
    types: names.map(() => UNKNOWN),
    outputNames: names.map((n) => n || `${node.name || kind}.unused`),
    regions: imported.map((i) => i.graph),
    ...info,
  });
  define(op, names);
}

/** Reads one TensorProto file (ONNX test data sets). */
export function importTensor(bytes: Uint8Array): Tensor {
  const { elem, dims, blob } = blobOfProto(tensorCodec.decode(bytes), { baseDir: null }, "tensor");
  return fromBytes(elem, dims, blob.bytes());
}
