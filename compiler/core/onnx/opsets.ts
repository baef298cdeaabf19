/**
 * Which opset a graph needs: when operators, attributes and element types came, and the choice that the exporter makes from them.
 * Source: the ONNX operator changelog and Versioning.md; `test/conformance/onnx/schema.test.ts` holds the tables against the Python package.
 */
import { fail } from "../diagnostics/index.js";
import { type Graph, isConstant, type Op, type Value } from "../ir/graph.js";
import { describeOp } from "../ir/infer.js";
import type { OpKind } from "../ir/ops/index.js";
import type { Blob } from "../ir/tensor.js";
import { type ElementType, UNKNOWN_DIM } from "../ir/types.js";
import { functionCodec, type NodeProto, nodeCodec, toInt } from "./schema.js";

/** Oldest opset that is read. */
export const OLDEST_OPSET = 7;
/** Newest opset that is read, of the `onnx` package 1.23; written only where a carried node of the source, or a type, needs it. */
export const NEWEST_OPSET = 28;
export const DEFAULT_OPSET = 17;
export const OLDEST_EXPORT = 13;
/** The newest that ONNX Runtime 1.30 runs. */
export const NEWEST_EXPORT = 26;

/** IR version that each opset was released with. */
const irVersions: Readonly<Record<number, number>> = {
  13: 7,
  14: 7,
  15: 8,
  16: 8,
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
  24: 12,
  28: 14,
};

/** IR version of the file format for an opset. Local functions came with version 8. */
export const irVersionOf = (opset: number, hasFunctions = false): number => Math.max(irVersions[opset] ?? 13, hasFunctions ? 8 : 0);

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

/** Least opset of an element type, whatever the operator. */
const elementOpset: { readonly [E in ElementType]?: number } = {
  f8e4m3fn: 19,
  f8e4m3fnuz: 19,
  f8e5m2: 19,
  f8e5m2fnuz: 19,
  i4: 21,
  u4: 21,
  f4e2m1: 23,
  f8e8m0: 24,
  i2: 25,
  u2: 25,
};

const float8: readonly ElementType[] = ["f8e4m3fn", "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz"];
const smallInts: readonly ElementType[] = ["u8", "u16", "i8", "i16"];
type Later = readonly [opset: number, ...elements: ElementType[]];

const from = (kinds: string, ...later: readonly Later[]): [string, readonly Later[]][] => kinds.split(" ").map((k) => [k, later]);

/** Element types that an operator took up after opset 13, later than the type itself came. */
const laterTypes: ReadonlyMap<string, readonly Later[]> = new Map([
  ...from("add sub mul div", [14, ...smallInts]),
  ...from("relu", [14, "i8", "i16", "i32", "i64"]),
  ...from("batch_normalization", [14, "bf16"]),
  ...from("cum_sum", [14, "f16", "bf16"]),
  ...from("pow", [15, "bf16"]),
  ...from("greater_or_equal if leaky_relu less_or_equal loop prelu scan where", [16, "bf16"]),
  ...from("equal", [19, "string"]),
  ...from("quantize_linear dequantize_linear", [19, "f16", "bf16"], [21, "u16", "i16"]),
  ...from("constant_of_shape", [20, "bf16", ...float8]),
  ...from("is_inf", [20, "f16", "bf16", ...float8]),
  ...from("is_nan", [20, ...float8]),
  ...from("reduce_max reduce_min", [20, "bool"]),
  ...from("qlinear_matmul", [21, "f16", "bf16", ...float8]),
  ...from("flatten pad squeeze transpose unsqueeze", [21, ...float8]),
  ...from("dropout", [22, ...float8]),
  ...from("acos acosh asin asinh atan atanh average_pool conv conv_transpose cos cosh elu global_average_pool global_max_pool gru", [22, "bf16"]),
  ...from("hard_sigmoid hard_swish instance_normalization lp_pool lstm max_pool mish rnn round selu sin sinh softplus softsign", [22, "bf16"]),
  ...from("tan thresholded_relu", [22, "bf16"]),
  ...from("top_k", [24, "bf16"]),
  ...from("range", [27, "f16", "bf16"]),
  ...from("celu", [28, "f16", "bf16", "f64"]),
  ...from("einsum one_hot", [28, "bf16"]),
]);

/** Least opset, 13 or more, at which `kind` is defined and takes or gives `elem`. */
export function leastOpset(kind: string, elem: ElementType): number {
  const later = laterTypes.get(kind)?.find(([, ...elements]) => elements.includes(elem))?.[0] ?? OLDEST_EXPORT;
  return Math.max(OLDEST_EXPORT, kindOpset[kind as OpKind] ?? 0, elementOpset[elem] ?? 0, later);
}

interface Need {
  readonly opset: number;
  /** Who needs it, and what stands for others that need it for the same reason. */
  readonly what: string;
  readonly group: string;
  readonly why: string;
}

/** Least opset at which the op keeps its meaning. */
function needs(op: Op): Need[] {
  const out: Need[] = [];
  const add = (opset: number, why: string): void => {
    if (opset > OLDEST_EXPORT) out.push({ opset, what: describeOp(op), group: op.kind, why });
  };
  const has = (...names: string[]): boolean => names.some((n) => op.attrs[n] !== undefined);
  const own = kindOpset[op.kind as OpKind];
  if (own !== undefined) add(own, `the operator is of opset ${own}`);
  for (const v of [...op.inputs, ...op.outputs]) {
    if (v?.type.kind === "tensor" && own !== leastOpset(op.kind, v.type.elem))
      add(leastOpset(op.kind, v.type.elem), `it takes or gives ${v.type.elem}`);
    // Sequences came with opset 11 to 13, optional values with 15 and 16.
    if (v?.type.kind === "opaque" && (op.kind === "identity" || op.regions.length > 0)) add(16, "it passes on sequences or optional values");
  }
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
      if (has("block_size")) add(21, "block_size is of opset 21");
      if (has("precision")) add(23, "precision is of opset 23");
      if (has("output_dtype")) add(op.kind === "quantize_linear" ? 21 : 23, "output_dtype is newer than opset 20");
      if (has("saturate")) add(19, "saturate is of opset 19");
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

/**
 * Opsets at which an operator took another form: operands for attributes, other defaults. A carried node of an older opset must not be written at these or
 * later. Other versions only added types, optional operands and attributes.
 */
export const formChanges: Readonly<Record<string, readonly number[]>> = {
  BatchNormalization: [9, 14],
  Clip: [11],
  DFT: [20],
  Dropout: [10, 12],
  GridSample: [20],
  GroupNormalization: [21],
  Hardmax: [13],
  LogSoftmax: [13],
  Pad: [11],
  ReduceL1: [18],
  ReduceL2: [18],
  ReduceLogSum: [18],
  ReduceLogSumExp: [18],
  ReduceMax: [18],
  ReduceMean: [18],
  ReduceMin: [18],
  ReduceProd: [18],
  ReduceSum: [13],
  ReduceSumSquare: [18],
  Resize: [11],
  RoiAlign: [16],
  Scan: [9],
  Scatter: [11],
  Slice: [10],
  Softmax: [13],
  Split: [13],
  Squeeze: [13],
  TopK: [10],
  Unsqueeze: [13],
  Upsample: [9, 10],
};

/** Operators that opsets 2 to 7 changed, by the opset that changed them last; the others are at opset 7 what they were at 1. */
const changedBefore8: Readonly<Record<number, string>> = {
  2: "GlobalLpPool LpPool Pad Split",
  4: "Concat",
  5: "Reshape",
  6: "Abs Cast Ceil Clip Elu Exp Floor HardSigmoid InstanceNormalization LeakyRelu Log Max Mean Min Neg Reciprocal Relu Selu Sigmoid Sqrt Sum Tanh Tile",
  7: "Acos Add And Asin Atan AveragePool BatchNormalization Cos Div Dropout Equal GRU Gemm Greater LSTM Less Mul Multinomial Or PRelu Pow RNN Sin Sub Tan Upsample Xor",
};

/** The opset, 1 to 7, from which on an operator of the default domain has had the form of opset 7. */
export const formOf7Since: ReadonlyMap<string, number> = new Map(
  Object.entries(changedBefore8).flatMap(([opset, names]) => names.split(" ").map((n): [string, number] => [n, Number(opset)])),
);

/** An operator of the nodes that opset 7 has in another form than `opset`; `undefined` where the nodes mean the same at both. */
export const changedSince = (nodes: readonly NodeProto[], opset: number): string | undefined =>
  nodes.flatMap(operatorsOf).find((type) => (formOf7Since.get(type) ?? 1) > opset);

/** What is written as it was read, so that its meaning hangs on the opset of the default domain. */
interface Carried {
  readonly op: Op | null;
  readonly what: string;
  /** The opset that it was written for. */
  readonly source: number;
  /** Operators of the default domain in it. */
  readonly operators: readonly string[];
}

/** Carried nodes of the default domain, or with bodies. */
function carriedNodes(graph: Graph, source: number): Carried[] {
  return graph.ops.flatMap((op) => {
    const inner = op.regions.flatMap((r) => carriedNodes(r, source));
    const operators = op.kind === "carry" ? operatorsOf(nodeCodec.decode((op.attrs["node"] as Blob).bytes())) : [];
    return operators.length === 0 ? inner : [{ op, what: `${describeOp(op)} (${op.attrs["op_type"]})`, source, operators }, ...inner];
  });
}

/** Local functions. Runtimes resolve the operators of their bodies at the model's opset, and ONNX's checker asks for that one. */
const carriedFunctions = (graph: Graph, source: number): Carried[] =>
  (graph.meta.functions ?? []).map((blob) => {
    const f = functionCodec.decode(blob.bytes());
    const own = f.opset_import?.find((o) => (o.domain ?? "") === "" || o.domain === "ai.onnx");
    return {
      op: null,
      what: `the function "${f.name ?? ""}"`,
      source: own === undefined ? source : toInt(own.version),
      operators: (f.node ?? []).flatMap(operatorsOf),
    };
  });

/** Operators of the default domain in a node: its own, and those of its bodies. */
function operatorsOf(node: NodeProto): string[] {
  const own = (node.domain ?? "") === "" || node.domain === "ai.onnx" ? [node.op_type ?? ""] : [];
  return [...own, ...(node.attribute ?? []).flatMap((a) => [a.g, ...(a.graphs ?? [])].flatMap((g) => (g?.node ?? []).flatMap(operatorsOf)))];
}

/** The newest opset at which it means what it does at its own. */
const newestFor = (c: Carried): number =>
  Math.min(
    NEWEST_OPSET,
    ...c.operators.flatMap((t) => (Object.hasOwn(formChanges, t) ? (formChanges[t] ?? []) : []).filter((v) => v > c.source).map((v) => v - 1)),
  );

/**
 * The opset to write: the wanted one; raised where ops, types and attributes need more, and to the source's own where nodes are carried; lowered where a carried
 * node takes another form at the wanted one.
 * @throws CEC3012 where no opset fits all
 */
export function chooseOpset(graph: Graph, wanted: number): { readonly opset: number; readonly raised: string[] } {
  const raised: string[] = [];
  const source = graph.meta.opsets?.[""];
  const carried =
    source === undefined ? [] : [...carriedNodes(graph, source), ...carriedFunctions(graph, source).filter((c) => c.operators.length > 0)];
  const all: Need[] = graph.ops.flatMap(needs);
  for (const c of carried)
    if (c.source > OLDEST_EXPORT) all.push({ opset: c.source, what: c.what, group: "carried", why: `it is carried as opset ${c.source} has it` });
  const most = all.reduce((m, n) => Math.max(m, n.opset), OLDEST_EXPORT);
  // One line for each reason, the first op named.
  const reasons = new Map<string, Need[]>();
  for (const n of all) {
    const key = `${n.opset} ${n.group} ${n.why}`;
    if (n.opset > wanted) reasons.set(key, [...(reasons.get(key) ?? []), n]);
  }
  for (const [first, ...more] of reasons.values())
    if (first !== undefined) raised.push(`opset ${first.opset}: ${first.what}${more.length === 0 ? "" : ` and ${more.length} more`}: ${first.why}`);
  let opset = Math.max(wanted, most);
  for (const c of carried) {
    const newest = newestFor(c);
    if (newest >= opset) continue;
    const why = `${c.what} is carried as opset ${c.source} has it, and takes another form after opset ${newest}`;
    if (newest < most)
      fail("CEC3012", {
        message: `the model needs opset ${most} or later, and cannot be written after opset ${newest}`,
        why: [why, ...raised].join("; "),
        help: `export the model from its framework with opset ${Math.max(DEFAULT_OPSET, most)} or later`,
        ...(c.op === null ? {} : { at: { node: c.op.name } }),
      });
    raised.push(`opset ${newest} instead of ${opset}: ${why}`);
    opset = newest;
  }
  if (opset > NEWEST_OPSET)
    fail("CEC3012", {
      message: `the model needs opset ${opset}`,
      why: raised.join("; "),
      help: `cec writes opsets ${OLDEST_EXPORT} to ${NEWEST_OPSET}`,
    });
  return { opset, raised };
}
