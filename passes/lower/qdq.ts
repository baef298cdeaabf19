/** Reading QDQ graphs: what is quantized, and how. */
import {
  constantTensor,
  type ElementType,
  fromNumbers,
  type Graph,
  num,
  type Op,
  type Tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";

/** A stored 8-bit value with per-tensor parameters. */
export interface Quantized {
  readonly value: Value;
  readonly type: ElementType;
  readonly scale: number;
  readonly zeroPoint: number;
  /** Where fewer bits are used: least and greatest integer, to which a clip behind the quantization holds it. */
  readonly limits?: readonly [number, number];
}

/** A clip of stored integers, the only reader of `q`, by constants. */
function clipBehind(graph: Graph, q: Value): { readonly op: Op; readonly limits: readonly [number, number] } | null {
  const op = graph.onlyUser(q);
  if (op?.kind !== "clip" || op.inputs[0] !== q || op.inputs[1] == null || op.inputs[2] == null) return null;
  const [low, high] = [single(op.inputs[1]), single(op.inputs[2])];
  return low === null || high === null || low > high ? null : { op, limits: [low, high] };
}

const single = (v: Value | null | undefined): number | null => {
  const t = constantTensor(v);
  return t === null || t.data.length !== 1 ? null : (toNumbers(t)[0] as number);
};

const eightBit = (v: Value | null | undefined): ElementType | null =>
  v?.type.kind === "tensor" && (v.type.elem === "u8" || v.type.elem === "i8") ? v.type.elem : null;

/** The quantized value behind a per-tensor dequantization. */
export function dequantized(v: Value | null | undefined): Quantized | null {
  const op = v?.producer;
  if (op?.kind !== "dequantize_linear" || op.inputs[0] == null) return null;
  const type = eightBit(op.inputs[0]);
  const scale = single(op.inputs[1]);
  const zeroPoint = op.inputs[2] == null ? 0 : single(op.inputs[2]);
  return type === null || scale === null || zeroPoint === null ? null : { value: op.inputs[0], type, scale, zeroPoint };
}

/** The quantization that takes the value, when it is the only reader; with `clipped`, up to the clip behind it. */
export function quantizedBy(graph: Graph, v: Value | undefined, clipped = false): (Quantized & { readonly op: Op }) | null {
  const op = v === undefined ? null : graph.onlyUser(v);
  if (op?.kind !== "quantize_linear" || op.inputs[0] !== v) return null;
  const y = op.outputs[0] as Value;
  const type = eightBit(y);
  const scale = single(op.inputs[1]);
  const zeroPoint = op.inputs[2] == null ? 0 : single(op.inputs[2]);
  if (type === null || scale === null || zeroPoint === null) return null;
  const clip = clipped ? clipBehind(graph, y) : null;
  if (clip === null) return { op, value: y, type, scale, zeroPoint };
  return { op: clip.op, value: clip.op.outputs[0] as Value, type, scale, zeroPoint, limits: clip.limits };
}

/** Constant weights behind a dequantization: symmetric i8, one scale or one per slice of `axis`. */
export interface QuantizedWeights {
  readonly data: Tensor;
  readonly scale: readonly number[];
  readonly axis: number | null;
}

/** Integers that are stored: a constant, or one of fewer bits behind the cast that widens it. */
export function storedIntegers(v: Value | null | undefined): Tensor | null {
  const cast = v?.producer;
  if (cast?.kind !== "cast" || v?.type.kind !== "tensor" || v.type.elem !== "i8") return constantTensor(v);
  const packed = constantTensor(cast.inputs[0]);
  return packed?.type === "i4" ? fromNumbers("i8", packed.dims, toNumbers(packed)) : null;
}

export function quantizedWeights(v: Value | null | undefined): QuantizedWeights | null {
  const op = v?.producer;
  if (op?.kind !== "dequantize_linear") return null;
  const data = storedIntegers(op.inputs[0]);
  const scale = constantTensor(op.inputs[1]);
  const zero = op.inputs[2] == null ? null : constantTensor(op.inputs[2]);
  if (data === null || scale === null || scale.dims.length > 1 || num(op, "block_size", 0) > 0) return null;
  if (data.type !== "i8" && data.type !== "i4") return null;
  if (op.inputs[2] != null && (zero === null || toNumbers(zero).some((z) => z !== 0))) return null;
  const s = Array.from(toNumbers(scale));
  const axis = num(op, "axis", 1);
  // 4-bit weights run as 8-bit: the values are the same.
  const wide = data.type === "i4" ? fromNumbers("i8", data.dims, toNumbers(data)) : data;
  return { data: wide, scale: s, axis: s.length === 1 ? null : axis < 0 ? axis + data.dims.length : axis };
}

/**
 * The bias as i32 in steps of x_scale * w_scale: stored so, or a float constant that is rounded here (targets that refuse quantized biases).
 * `null` when it is computed, `"overflow"` when a rounded bias leaves 32 bits.
 */
export function integerBias(v: Value | null | undefined, xScale: number, wScale: readonly number[]): Tensor | null | "none" | "overflow" {
  if (v == null) return "none";
  const f = Math.fround;
  const step = (c: number): number => f(f(xScale) * f(wScale[wScale.length === 1 ? 0 : c] as number));
  const real = constantTensor(v);
  if (real !== null && real.type === "f32") {
    const b = toNumbers(real).map((e, c) => Math.round(e / step(c)));
    return b.some((e) => !(Math.abs(e) <= 2 ** 31 - 1)) ? "overflow" : fromNumbers("i32", [b.length], b);
  }
  const op = v.producer;
  if (op?.kind !== "dequantize_linear") return null;
  const data = constantTensor(op.inputs[0]);
  const scale = constantTensor(op.inputs[1]);
  if (data === null || scale === null || data.type !== "i32") return null;
  const s = toNumbers(scale);
  const same = Array.from({ length: data.data.length }, (_, c) => Math.abs((s[s.length === 1 ? 0 : c] as number) / step(c) - 1) < 1e-5).every(
    Boolean,
  );
  if (same) return { ...data, dims: [data.data.length] };
  const b = toNumbers(data).map((e, c) => Math.round((e * (s[s.length === 1 ? 0 : c] as number)) / step(c)));
  return b.some((e) => !(Math.abs(e) <= 2 ** 31 - 1)) ? "overflow" : fromNumbers("i32", [b.length], b);
}

export const sameParams = (a: Quantized, b: Quantized): boolean => a.type === b.type && a.scale === b.scale && a.zeroPoint === b.zeroPoint;
