/** Shape rules that several op kinds share. */
import type { Inferred, InferContext } from "../op.js";
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
      else if (typeof d === "number" && typeof dim === "number") ctx.fail(`shapes ${shapes.map((x) => `[${x?.join(", ")}]`).join(" and ")} do not broadcast`, `dimension ${i} from the left is ${dim} and ${d}`);
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

/** Broadcasting op on operands of one type; `elem` overrides the result type (comparisons give bool). */
export function broadcastOp(ctx: InferContext, elem?: ElementType): Inferred {
  const indices = Array.from({ length: ctx.inputCount }, (_, i) => i);
  const t = needSameElem(ctx, indices);
  const shape = broadcast(ctx, indices.map((i) => ctx.shape(i)));
  return t === null && elem === undefined ? unknown(ctx) : one(checked(ctx, elem ?? (t as TensorType).elem, shape));
}

export const needRank = (ctx: InferContext, i: number, least: number, most = Number.POSITIVE_INFINITY): Shape | null => {
  const s = ctx.shape(i);
  if (s !== null && (s.length < least || s.length > most)) ctx.fail(`operand ${i} has rank ${s.length}`, least === most ? `rank ${least} is expected` : `rank ${least} or more is expected`);
  return s;
};

/** Element-wise arithmetic on known contents (shape computations); `"?"` where an element is not known. */
export function mapContent(contents: readonly (readonly Dim[] | null)[], f: (values: readonly number[]) => number): readonly Dim[] | undefined {
  if (contents.some((c) => c === null)) return undefined;
  const length = Math.max(...contents.map((c) => (c as readonly Dim[]).length));
  return Array.from({ length }, (_, i) => {
    const values = contents.map((c) => ((c as readonly Dim[]).length === 1 ? (c as readonly Dim[])[0] : (c as readonly Dim[])[i]) as Dim);
    if (!values.every((v) => typeof v === "number")) return UNKNOWN_DIM;
    const v = f(values as number[]);
    return Number.isSafeInteger(v) ? v : UNKNOWN_DIM;
  });
}

/** Content of a rank 0 or 1 integer op; only integers have contents. */
export const withContent = (inferred: Inferred, content: readonly Dim[] | null | undefined): Inferred => {
  const t = inferred.types[0];
  const integers = t?.kind === "tensor" && (t.elem === "i64" || t.elem === "i32") && (t.shape === null || t.shape.length <= 1);
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

const list = (v: unknown, n: number, otherwise: number): number[] => (Array.isArray(v) && v.length > 0 ? (v as number[]) : new Array<number>(n).fill(otherwise));

/** Window geometry from attributes kernel_shape, strides, dilations, pads, auto_pad, ceil_mode. `kernel` overrides kernel_shape. */
export function windows(attrs: Readonly<Record<string, unknown>>, spatial: readonly Dim[], kernel: readonly number[], reject: (what: string, why?: string) => never): Windows {
  const n = spatial.length;
  const strides = list(attrs["strides"], n, 1);
  const dilations = list(attrs["dilations"], n, 1);
  const pads = list(attrs["pads"], 2 * n, 0);
  if (kernel.length !== n) reject(`the kernel has ${kernel.length} axes, the data ${n} spatial axes`);
  if (strides.length !== n) reject(`strides has ${strides.length} entries for ${n} spatial axes`);
  if (dilations.length !== n) reject(`dilations has ${dilations.length} entries for ${n} spatial axes`);
  if (pads.length !== 2 * n) reject(`pads has ${pads.length} entries for ${n} spatial axes`, "it holds all begins, then all ends");
  if (kernel.some((k) => k < 1) || strides.some((s) => s < 1) || dilations.some((d) => d < 1)) reject("kernel, strides and dilations must be at least 1");
  const auto = (attrs["auto_pad"] as string | undefined) ?? "NOTSET";
  const ceil = attrs["ceil_mode"] === 1 || attrs["ceil_mode"] === true;
  const axes: WindowAxis[] = [];
  const out: Dim[] = [];
  for (let i = 0; i < n; i++) {
    const size = spatial[i] as Dim;
    const k = kernel[i] as number;
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
        if (room < 0) reject(`axis ${i}: the kernel's extent ${extent} is larger than the padded size ${size + padBegin + padEnd}`);
      } else if (stride === 1 && padBegin + padEnd === extent - 1) result = size;
    }
    axes.push({ kernel: k, stride, dilation, padBegin, padEnd });
    out.push(result);
  }
  return { axes, out };
}

export const product = (v: readonly number[]): number => v.reduce((a, b) => a * b, 1);
