/**
 * Types of IR values: element types, symbolic dimensions, tensor types with optional quantization, and opaque types that are only carried.
 *
 * Element type names follow MLIR and PyTorch (`f32`, `i8`, `bf16`); each maps one to one to an ONNX `TensorProto.DataType`.
 */
import { formatNumber, wordText } from "./text.js";

/** Facts about one element type. `bits` is the size of one stored element; sub-byte types are packed low nibble first, as in ONNX. */
interface ElementInfo {
  readonly bits: number;
  readonly kind: "float" | "int" | "uint" | "bool" | "string" | "complex";
}

export const elementTypes = {
  f64: { bits: 64, kind: "float" },
  f32: { bits: 32, kind: "float" },
  f16: { bits: 16, kind: "float" },
  bf16: { bits: 16, kind: "float" },
  f8e4m3fn: { bits: 8, kind: "float" },
  f8e4m3fnuz: { bits: 8, kind: "float" },
  f8e5m2: { bits: 8, kind: "float" },
  f8e5m2fnuz: { bits: 8, kind: "float" },
  f8e8m0: { bits: 8, kind: "float" },
  f4e2m1: { bits: 4, kind: "float" },
  i64: { bits: 64, kind: "int" },
  i32: { bits: 32, kind: "int" },
  i16: { bits: 16, kind: "int" },
  i8: { bits: 8, kind: "int" },
  i4: { bits: 4, kind: "int" },
  i2: { bits: 2, kind: "int" },
  u64: { bits: 64, kind: "uint" },
  u32: { bits: 32, kind: "uint" },
  u16: { bits: 16, kind: "uint" },
  u8: { bits: 8, kind: "uint" },
  u4: { bits: 4, kind: "uint" },
  u2: { bits: 2, kind: "uint" },
  bool: { bits: 8, kind: "bool" },
  string: { bits: 0, kind: "string" },
  c64: { bits: 64, kind: "complex" },
  c128: { bits: 128, kind: "complex" },
} as const satisfies Record<string, ElementInfo>;

export type ElementType = keyof typeof elementTypes;

export const isElementType = (name: string): name is ElementType => Object.hasOwn(elementTypes, name);
export const isFloat = (t: ElementType): boolean => elementTypes[t].kind === "float";
export const isInteger = (t: ElementType): boolean => elementTypes[t].kind === "int" || elementTypes[t].kind === "uint";

/** Inclusive integer range of an integer element type that fits a JS number (not i64/u64). */
export function integerRange(t: ElementType): readonly [min: number, max: number] {
  const { bits, kind } = elementTypes[t];
  if (kind === "uint") return [0, 2 ** bits - 1];
  if (kind === "int") return [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  throw new TypeError(`${t} is not an integer type`);
}

/** A dimension: a known size, a symbol shared across the graph (`"N"`), or `"?"`, which is equal to nothing, itself included. */
export type Dim = number | string;
export type Shape = readonly Dim[];
export const UNKNOWN_DIM = "?";

/** Affine quantization of a stored integer tensor: real = (stored - zeroPoint) * scale, per tensor or along `axis`. */
export interface QuantParams {
  /** One entry per tensor, or one per slice along `axis`. f32 values. */
  readonly scale: readonly number[];
  readonly zeroPoint: readonly number[];
  /** `null` for per-tensor. Never negative. */
  readonly axis: number | null;
}

export interface TensorType {
  readonly kind: "tensor";
  readonly elem: ElementType;
  /** `null` when even the rank is unknown. */
  readonly shape: Shape | null;
  readonly quant?: QuantParams;
}

/** A sequence, optional, map or sparse type: kept as its ONNX `TypeProto` bytes in base64, only ever carried. */
export interface OpaqueType {
  readonly kind: "opaque";
  readonly proto: string;
}

/** A tensor whose element type no rule could find (outputs of unknown operators). */
export interface UnknownType {
  readonly kind: "unknown";
}

export type Type = TensorType | OpaqueType | UnknownType;

export const UNKNOWN: UnknownType = { kind: "unknown" };

export function tensorType(elem: ElementType, shape: Shape | null, quant?: QuantParams): TensorType {
  return quant === undefined ? { kind: "tensor", elem, shape } : { kind: "tensor", elem, shape, quant };
}

/** Number of elements, or `null` when a dimension is not known. */
export function elementCount(shape: Shape | null): number | null {
  if (shape === null) return null;
  let n = 1;
  for (const d of shape) {
    if (typeof d !== "number") return null;
    n *= d;
  }
  return n;
}

/** Bytes that `count` elements take when stored (sub-byte types packed). Strings have no fixed size: 0. */
export const byteSize = (elem: ElementType, count: number): number => Math.ceil((elementTypes[elem].bits * count) / 8);

export const isStatic = (shape: Shape | null): shape is readonly number[] => shape?.every((d) => typeof d === "number") === true;

/** True when both are surely the same size: equal numbers or the same symbol. */
export const sameDim = (a: Dim, b: Dim): boolean => a === b && a !== UNKNOWN_DIM;

export const sameShape = (a: Shape | null, b: Shape | null): boolean =>
  a !== null && b !== null && a.length === b.length && a.every((d, i) => sameDim(d, b[i] as Dim));

/** A size, a symbol (quoted where it is no plain word, as ONNX allows any string), or `?`. */
export const formatDim = (d: Dim): string => (typeof d === "number" ? String(d) : d === UNKNOWN_DIM ? d : wordText(d));

export function formatShape(shape: Shape | null): string {
  return shape === null ? "[*]" : `[${shape.map(formatDim).join(", ")}]`;
}

/** `f32[N, 3, 32, 32]`; quantized: `u8[N, 64] q(scale=0.02, zp=128)`. The text that `parseType` reads. */
export function formatType(t: Type): string {
  if (t.kind === "unknown") return "unknown";
  if (t.kind === "opaque") return `opaque<${t.proto}>`;
  const base = t.elem + formatShape(t.shape);
  if (t.quant === undefined) return base;
  const { scale, zeroPoint, axis } = t.quant;
  const list = (v: readonly number[]) => (v.length === 1 ? formatNumber(v[0] as number) : `[${v.map(formatNumber).join(", ")}]`);
  return `${base} q(scale=${list(scale)}, zp=${list(zeroPoint)}${axis === null ? "" : `, axis=${axis}`})`;
}
