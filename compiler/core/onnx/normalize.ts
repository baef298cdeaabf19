/**
 * What changed between operator versions: nodes of old opsets become the newest form, in which parameters that newer versions take as operands are
 * operands. Source: the ONNX operator changelog (docs/Changelog.md of the format).
 */
import type { AttrValue, Value } from "../ir/graph.js";
import type { OpKind } from "../ir/ops/index.js";
import { f32, i64, type Tensor, tensor } from "../ir/tensor.js";
import type { ElementType, Type } from "../ir/types.js";

/** A node on its way into the IR. Handlers change it in place. */
export interface Draft {
  kind: OpKind;
  inputs: (Value | null)[];
  attrs: Record<string, AttrValue>;
  outputs: number;
}

export interface NormalizeContext {
  readonly opset: number;
  /** Adds a constant in front of the node. */
  constant(tensor: Tensor): Value;
  /** Adds an op in front of the node and gives its first result. */
  insert(kind: OpKind, inputs: readonly (Value | null)[], attrs?: Record<string, AttrValue>): Value;
  /** Asks that an op be put behind the node: its single result takes the node's output name. */
  wrap(
    make: (result: Value) => { readonly kind: OpKind; readonly inputs: readonly (Value | null)[]; readonly attrs?: Record<string, AttrValue> },
  ): void;
  elementName(number: number): ElementType;
  fail(message: string): never;
}

/** `carry`: this form has no place in the IR; the node is carried as it is. */
export type Verdict = "ok" | "carry";
type Handler = (n: Draft, c: NormalizeContext) => Verdict | undefined;

const takeInts = (n: Draft, name: string): number[] | undefined => {
  const v = n.attrs[name];
  delete n.attrs[name];
  return Array.isArray(v) ? (v as number[]) : typeof v === "number" ? [v] : undefined;
};
const takeNumber = (n: Draft, name: string): number | undefined => {
  const v = n.attrs[name];
  delete n.attrs[name];
  return typeof v === "number" ? v : undefined;
};
const setInput = (n: Draft, i: number, v: Value): void => {
  while (n.inputs.length <= i) n.inputs.push(null);
  n.inputs[i] = v;
};
/** Moves an integer-list attribute to operand `i`. */
const intsToOperand =
  (name: string, i: number, until: number): Handler =>
  (n, c) => {
    if (c.opset >= until) return undefined;
    const v = takeInts(n, name);
    if (v !== undefined) setInput(n, i, c.constant(i64(v)));
    return undefined;
  };
const elemOf = (v: Value | null | undefined): ElementType => (v?.type.kind === "tensor" ? v.type.elem : "f32");
const shapeOf = (t: Type | undefined): readonly unknown[] | null => (t?.kind === "tensor" ? t.shape : null);

/** Before opset 13 softmax-like ops flatten to two axes at `axis` (default 1) first. */
const flattenedSoftmax: Handler = (n, c) => {
  if (c.opset >= 13) return undefined;
  const axis = typeof n.attrs["axis"] === "number" ? n.attrs["axis"] : 1;
  const [x] = n.inputs;
  if (x == null) return undefined;
  const rank = shapeOf(x.type)?.length;
  if (rank !== undefined && (axis === rank - 1 || axis === -1)) {
    n.attrs = { axis: -1 };
    return undefined;
  }
  const shape = c.insert("shape", [x]);
  n.inputs = [c.insert("flatten", [x], { axis })];
  n.attrs = { axis: -1 };
  c.wrap((y) => ({ kind: "reshape", inputs: [y, shape] }));
  return undefined;
};

const reduce: Handler = (n, c) => intsToOperand("axes", 1, n.kind === "reduce_sum" ? 13 : 18)(n, c);

const windowed: Handler = (n) => {
  // An empty auto_pad is the default in some exporters' files.
  if (n.attrs["auto_pad"] === "") delete n.attrs["auto_pad"];
  return undefined;
};

const upsample: Handler = (n, c) => {
  const scales = n.attrs["scales"];
  if (Array.isArray(scales)) n.inputs = [n.inputs[0] ?? null, null, c.constant(f32([scales.length], scales as number[]))];
  else n.inputs = [n.inputs[0] ?? null, null, n.inputs[1] ?? null];
  n.attrs = {
    mode: n.attrs["mode"] === "linear" || n.attrs["mode"] === "bilinear" ? "linear" : "nearest",
    coordinate_transformation_mode: "asymmetric",
    nearest_mode: "floor",
  };
  return undefined;
};

const handlers: { readonly [K in OpKind]?: Handler } = {
  clip(n, c) {
    if (c.opset >= 11) return undefined;
    const [low, high] = [takeNumber(n, "min"), takeNumber(n, "max")];
    if (low !== undefined) setInput(n, 1, c.constant(tensor(elemOf(n.inputs[0]), [], [low])));
    if (high !== undefined) setInput(n, 2, c.constant(tensor(elemOf(n.inputs[0]), [], [high])));
    return undefined;
  },
  dropout(n, c) {
    if (c.opset < 12) delete n.attrs["ratio"];
    return undefined;
  },
  squeeze: intsToOperand("axes", 1, 13),
  unsqueeze: intsToOperand("axes", 1, 13),
  split(n, c) {
    intsToOperand("split", 1, 13)(n, c);
    // Equal parts are what an absent second operand means at every opset.
    delete n.attrs["num_outputs"];
    return undefined;
  },
  slice(n, c) {
    if (c.opset >= 10) return undefined;
    const [starts, ends, axes] = ["starts", "ends", "axes"].map((k) => takeInts(n, k));
    if (starts === undefined || ends === undefined) c.fail("Slice needs starts and ends");
    n.inputs = [
      n.inputs[0] ?? null,
      c.constant(i64(starts as number[])),
      c.constant(i64(ends as number[])),
      ...(axes === undefined ? [] : [c.constant(i64(axes))]),
    ];
    return undefined;
  },
  pad(n, c) {
    if (c.opset >= 11) return undefined;
    const pads = takeInts(n, "pads") ?? c.fail("Pad needs pads");
    const value = takeNumber(n, "value") ?? 0;
    n.inputs = [n.inputs[0] ?? null, c.constant(i64(pads)), ...(value === 0 ? [] : [c.constant(tensor(elemOf(n.inputs[0]), [], [value]))])];
    return undefined;
  },
  top_k(n, c) {
    if (c.opset >= 10) return undefined;
    const k = takeNumber(n, "k") ?? c.fail("TopK needs k");
    setInput(n, 1, c.constant(i64([k])));
    return undefined;
  },
  resize(n, c) {
    if (c.opset >= 11) return undefined;
    n.inputs = [n.inputs[0] ?? null, null, n.inputs[1] ?? null];
    n.attrs = { ...n.attrs, coordinate_transformation_mode: "asymmetric", nearest_mode: "floor" };
    return undefined;
  },
  softmax: flattenedSoftmax,
  log_softmax: flattenedSoftmax,
  hardmax: flattenedSoftmax,
  batch_normalization(n, c) {
    const spatial = takeNumber(n, "spatial");
    if (spatial === 0) return "carry";
    delete n.attrs["is_test"];
    if (c.opset < 14 && n.outputs > 1) return "carry";
    return undefined;
  },
  group_normalization(n, c) {
    if (c.opset >= 21) return undefined;
    // Opset 18 has one scale and bias per group; each is repeated for the group's channels.
    const channels = shapeOf(n.inputs[0]?.type)?.[1];
    const groups = n.attrs["num_groups"];
    if (typeof channels !== "number" || typeof groups !== "number" || groups < 1 || channels % groups !== 0) return "carry";
    const each = channels / groups;
    for (const i of [1, 2]) {
      const wide = c.insert("expand", [c.insert("unsqueeze", [n.inputs[i] ?? null, c.constant(i64([1]))]), c.constant(i64([groups, each]))]);
      n.inputs[i] = c.insert("reshape", [wide, c.constant(i64([-1]))]);
    }
    return undefined;
  },
  cast(n, c) {
    n.attrs["to"] = c.elementName(Number(n.attrs["to"] ?? 0));
    return undefined;
  },
  quantize_linear(n, c) {
    const to = takeNumber(n, "output_dtype");
    if (to !== undefined && to !== 0) n.attrs["output_dtype"] = c.elementName(to);
    return undefined;
  },
  dequantize_linear(n, c) {
    const to = takeNumber(n, "output_dtype");
    if (to !== undefined && to !== 0) n.attrs["output_dtype"] = c.elementName(to);
    return undefined;
  },
  scan: (_, c) => (c.opset < 9 ? "carry" : undefined),
  conv: windowed,
  conv_transpose: windowed,
  conv_integer: windowed,
  qlinear_conv: windowed,
  max_pool: windowed,
  average_pool: windowed,
  lp_pool: windowed,
  reduce_sum: reduce,
  reduce_mean: reduce,
  reduce_max: reduce,
  reduce_min: reduce,
  reduce_prod: reduce,
  reduce_l1: reduce,
  reduce_l2: reduce,
  reduce_sum_square: reduce,
  reduce_log_sum: reduce,
  reduce_log_sum_exp: reduce,
};

/** Operators whose old name means a kind of another name. */
export const formerNames: Readonly<Record<string, { readonly kind: OpKind; readonly handle?: Handler }>> = {
  Upsample: { kind: "resize", handle: upsample },
  Scatter: { kind: "scatter_elements" },
};

/** Brings a node to the newest form. */
export function normalize(n: Draft, c: NormalizeContext, former?: Handler): Verdict {
  const verdict = (former ?? handlers[n.kind])?.(n, c);
  while (n.inputs.length > 0 && n.inputs[n.inputs.length - 1] === null) n.inputs.pop();
  return verdict ?? "ok";
}
