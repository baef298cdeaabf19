/** Shape rules that several op kinds share. */
import type { InferContext, Inferred } from "../op.js";
import { type Dim, type ElementType, type Shape, type TensorType, type Type, tensorType, UNKNOWN, UNKNOWN_DIM } from "../types.js";

/** Largest element count that shape inference accepts: a tensor beyond it cannot exist. */
const MAX_ELEMENTS = 2 ** 53;

/** A tensor type after its dimensions were checked. */
export function checked(ctx: InferContext, elem: ElementType, shape: Shape | null): Type {
  if (shape !== null) {
    let n = 1;
    for (const d of shape) {
      if (typeof d !== "number") continue;
      if (!Number.isSafeInteger(d) || d < 0) ctx.fail(`a result dimension would be ${d}`, "dimensions are whole numbers from 0 up");
      n *= d;
    }
    if (n > MAX_ELEMENTS) ctx.fail(`the result would have ${n} elements`, "that is more than any memory holds");
  }
  return tensorType(elem, shape);
}

export const one = (type: Type): Inferred => ({ types: [type] });
export const unknown = (ctx: InferContext): Inferred => ({ types: new Array<Type>(ctx.outputCount).fill(UNKNOWN) });

/** Output like operand `i`, quantization left out. */
export function like(ctx: InferContext, i = 0): Inferred {
  const t = ctx.type(i);
  return t === null ? unknown(ctx) : one(tensorType(t.elem, t.shape));
}

/** A negative axis counts from the end. Fails outside [-rank, rank). */
export function axisOf(ctx: InferContext, axis: number, rank: number): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) ctx.fail(`axis ${axis} is outside [-${rank}, ${rank - 1}]`);
  return axis < 0 ? axis + rank : axis;
}

/** NumPy broadcasting with symbols: 1 gives way; a number beats a symbol (which must then be 1 or equal at run time); two symbols that differ give "?". */
export function broadcast(ctx: InferContext, shapes: readonly (Shape | null)[]): Shape | null {
  if (shapes.some((s) => s === null)) return null;
  const rank = Math.max(0, ...shapes.map((s) => (s as Shape).length));
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    let dim: Dim = 1;
    for (const s of shapes as readonly Shape[]) {
      const at = i - (rank - s.length);
      const d = at < 0 ? 1 : (s[at] as Dim);
      if (d === 1 || d === dim) continue;
      if (dim === 1) dim = d;
      else if (typeof d === "number" && typeof dim === "number")
        ctx.fail(
          `shapes ${shapes.map((x) => `[${x?.join(", ")}]`).join(" and ")} do not broadcast`,
          `dimension ${i} from the left is ${dim} and ${d}`,
        );
      else dim = typeof d === "number" ? d : typeof dim === "number" ? dim : UNKNOWN_DIM;
    }
    out.push(dim);
  }
  return out;
}

export const needSameElem = (ctx: InferContext, indices: readonly number[]): TensorType | null => {
  let first: TensorType | null = null;
  for (const i of indices) {
    const t = ctx.type(i);
    if (t === null) continue;
    if (first === null) first = t;
    else if (first.elem !== t.elem) ctx.fail(`operands are of type ${first.elem} and ${t.elem}`, "both must have one element type");
  }
  return first;
};

/** Broadcasting op on operands of one type among `allowed`; `elem` overrides the result type (comparisons give bool). */
export function broadcastOp(ctx: InferContext, elem?: ElementType, allowed?: readonly ElementType[]): Inferred {
  const indices = Array.from({ length: ctx.inputCount }, (_, i) => i);
  if (allowed !== undefined) for (const i of indices) needElem(ctx, i, allowed);
  const t = needSameElem(ctx, indices);
  const shape = broadcast(
    ctx,
    indices.map((i) => ctx.shape(i)),
  );
  return t === null && elem === undefined ? unknown(ctx) : one(checked(ctx, elem ?? (t as TensorType).elem, shape));
}

export const needRank = (ctx: InferContext, i: number, least: number, most = Number.POSITIVE_INFINITY): Shape | null => {
  const s = ctx.shape(i);
  if (s !== null && (s.length < least || s.length > most))
    ctx.fail(`operand ${i} has rank ${s.length}`, least === most ? `rank ${least} is expected` : `rank ${least} or more is expected`);
  return s;
};

/**
 * Element-wise arithmetic on known contents (shape computations); `"?"` where an element is not known. `symbolic` may tell a result from operands
 * that are symbols (x * 1 is x).
 */
export function mapContent(
  contents: readonly (readonly Dim[] | null)[],
  f: (values: readonly number[]) => number,
  symbolic: (values: readonly Dim[]) => Dim = () => UNKNOWN_DIM,
): readonly Dim[] | undefined {
  if (contents.some((c) => c === null)) return undefined;
  const all = contents as readonly (readonly Dim[])[];
  const length = all.some((c) => c.length === 0) ? 0 : Math.max(...all.map((c) => c.length));
  return Array.from({ length }, (_, i) => {
    const values = all.map((c) => (c.length === 1 ? c[0] : c[i]) as Dim | undefined);
    if (values.some((v) => v === undefined)) return UNKNOWN_DIM;
    if (!values.every((v) => typeof v === "number")) return symbolic(values as Dim[]);
    const v = f(values as number[]);
    return Number.isSafeInteger(v) ? v : UNKNOWN_DIM;
  });
}

/** Content of a rank 0 or 1 integer (or bool) op; others have none. */
export const withContent = (inferred: Inferred, content: readonly Dim[] | null | undefined): Inferred => {
  const t = inferred.types[0];
  const integers = t?.kind === "tensor" && (t.elem === "i64" || t.elem === "i32" || t.elem === "bool") && (t.shape === null || t.shape.length <= 1);
  return content == null || !integers ? inferred : { ...inferred, content };
};

/** Sizes of one sliding-window axis, for convolution and pooling (ONNX "Conv" and "MaxPool" output shape formulas). */
export interface WindowAxis {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  readonly padBegin: number;
  readonly padEnd: number;
}

/** Resolved window parameters for each spatial axis; SAME padding needs the input size and gives `null` pads otherwise. */
export interface Windows {
  readonly axes: readonly WindowAxis[];
  readonly out: readonly Dim[];
}

const list = (v: unknown, n: number, otherwise: number): number[] =>
  Array.isArray(v) && v.length > 0 ? (v as number[]) : new Array<number>(n).fill(otherwise);

/** Window geometry from attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode. `kernel` overrides kernel_shape. */
export function windows(
  attrs: Readonly<Record<string, unknown>>,
  spatial: readonly Dim[],
  kernel: readonly Dim[],
  reject: (what: string, why?: string) => never,
): Windows {
  const n = spatial.length;
  const strides = list(attrs["strides"], n, 1);
  const dilations = list(attrs["dilations"], n, 1);
  const pads = list(attrs["pads"], 2 * n, 0);
  if (kernel.length !== n) reject(`the kernel has ${kernel.length} axes, the data ${n} spatial axes`);
  if (strides.length !== n) reject(`strides has ${strides.length} entries for ${n} spatial axes`);
  if (dilations.length !== n) reject(`dilations has ${dilations.length} entries for ${n} spatial axes`);
  if (pads.length !== 2 * n) reject(`pads has ${pads.length} entries for ${n} spatial axes`, "it holds all begins, then all ends");
  if (kernel.some((k) => typeof k === "number" && k < 1) || strides.some((s) => s < 1) || dilations.some((d) => d < 1))
    reject("kernel, strides and dilations must be at least 1");
  const auto = (attrs["auto_pad"] as string | undefined) ?? "NOTSET";
  const ceil = attrs["ceil_mode"] === 1 || attrs["ceil_mode"] === true;
  const axes: WindowAxis[] = [];
  const out: Dim[] = [];
  for (let i = 0; i < n; i++) {
    const size = spatial[i] as Dim;
    const known = kernel[i];
    const k = typeof known === "number" ? known : 1;
    const stride = strides[i] as number;
    const dilation = dilations[i] as number;
    const extent = (k - 1) * dilation + 1;
    let padBegin = pads[i] as number;
    let padEnd = pads[i + n] as number;
    let result: Dim = UNKNOWN_DIM;
    if (auto === "SAME_UPPER" || auto === "SAME_LOWER") {
      if (typeof size === "number") {
        result = Math.ceil(size / stride);
        const total = Math.max(0, (result - 1) * stride + extent - size);
        padBegin = auto === "SAME_UPPER" ? Math.floor(total / 2) : Math.ceil(total / 2);
        padEnd = total - padBegin;
      } else if (stride === 1) result = size;
    } else {
      if (auto === "VALID") padBegin = padEnd = 0;
      if (typeof size === "number") {
        const room = size + padBegin + padEnd - extent;
        result = (ceil ? Math.ceil(room / stride) : Math.floor(room / stride)) + 1;
        // A window that would start in the end padding is dropped (PyTorch's rule, taken up by ONNX in opset 22).
        if (ceil && (result - 1) * stride >= size + padBegin) result--;
        if (room < 0 && typeof known === "number")
          reject(`axis ${i}: the kernel's extent ${extent} is larger than the padded size ${size + padBegin + padEnd}`);
      } else if (stride === 1 && padBegin + padEnd === extent - 1) result = size;
    }
    if (typeof known !== "number") result = UNKNOWN_DIM;
    axes.push({ kernel: k, stride, dilation, padBegin, padEnd });
    out.push(result);
  }
  return { axes, out };
}

export const product = (v: readonly number[]): number => v.reduce((a, b) => a * b, 1);

/** Product of dimensions, `"?"` when one is not known; a single symbol among ones stands for itself. */
export function productDim(dims: Shape): Dim {
  let n = 1;
  let symbol: Dim | null = null;
  for (const d of dims) {
    if (typeof d === "number") n *= d;
    else if (symbol === null) symbol = d;
    else symbol = UNKNOWN_DIM;
  }
  if (n === 0 || symbol === null) return n;
  return n === 1 ? symbol : UNKNOWN_DIM;
}

export const addDim = (a: Dim, b: Dim): Dim => (typeof a === "number" && typeof b === "number" ? a + b : a === 0 ? b : b === 0 ? a : UNKNOWN_DIM);

/** Whether operand `i` was given, known or not. */
export const present = (ctx: InferContext, i: number): boolean => ctx.op.inputs[i] != null;

/** All integers of operand `i`, or `null` when one of them is not known. */
export function intsOf(ctx: InferContext, i: number): readonly number[] | null {
  const content = ctx.content(i);
  if (content !== null) return content.every((d) => typeof d === "number") ? (content as readonly number[]) : null;
  const t = ctx.type(i);
  if (t === null || (t.elem !== "i64" && t.elem !== "i32")) return null;
  const c = ctx.constant(i);
  return c === null ? null : Array.from(c.data as BigInt64Array, Number);
}

export const unknownShape = (rank: number): Dim[] => new Array<Dim>(rank).fill(UNKNOWN_DIM);

/** Rejects operand `i` when its element type is known and not among `allowed`. */
export function needElem(ctx: InferContext, i: number, allowed: readonly ElementType[]): void {
  const t = ctx.type(i);
  if (t !== null && !allowed.includes(t.elem)) ctx.fail(`operand ${i} is of type ${t.elem}`, `allowed are ${allowed.join(", ")}`);
}

export const floatTypes: readonly ElementType[] = ["f32", "f16", "bf16", "f64"];
export const numericTypes: readonly ElementType[] = [...floatTypes, "i64", "i32", "i16", "i8", "u64", "u32", "u16", "u8"];

/** Rejects when both dimensions are numbers and differ. */
export function needEqual(ctx: InferContext, a: Dim | undefined, b: Dim | undefined, what: string, why?: string): void {
  if (typeof a === "number" && typeof b === "number" && a !== b) ctx.fail(`${what}: ${a} and ${b}`, why);
}

/** The surer of two dimensions that must be equal. */
export const betterDim = (a: Dim, b: Dim): Dim => (typeof a === "number" ? a : typeof b === "number" ? b : a === UNKNOWN_DIM ? b : a);

/** Distinct non-negative axes, ascending as given. */
export function axesOf(ctx: InferContext, axes: readonly number[], rank: number): number[] {
  const out = axes.map((a) => axisOf(ctx, a, rank));
  if (new Set(out).size !== out.length) ctx.fail(`axes [${axes.join(", ")}] name an axis twice`);
  return out;
}

/** Number of elements of a known shape; 0 for an absent one. */
export const elementsOf = (dims: readonly number[] | null | undefined): number => (dims == null ? 0 : product(dims));
