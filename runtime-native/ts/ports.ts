/** Inputs and outputs of compiled models: their types, and whether what is fed fits. */
import { fail } from "../../compiler/core/diagnostics/index.js";
import type { AddonResult } from "./addon.js";

/** Element types of inputs and outputs, and the arrays that hold them. f16 and bf16 are their bits; bool is 0 or 1. */
export const arrays = {
  f32: Float32Array,
  f64: Float64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i8: Int8Array,
  i16: Int16Array,
  i32: Int32Array,
  i64: BigInt64Array,
  u8: Uint8Array,
  u16: Uint16Array,
  u32: Uint32Array,
  u64: BigUint64Array,
  bool: Uint8Array,
} as const;

export type DataType = keyof typeof arrays;
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array;

/** An input: its values, row-major; `dims` may be left out where the model leaves at most one dimension free. */
export type Feed<A extends TypedArray = TypedArray> = A | { readonly data: A; readonly dims: readonly number[] };

export interface Output<A extends TypedArray = TypedArray> {
  readonly type: DataType;
  readonly dims: readonly number[];
  readonly data: A;
}

/** An input or output as the model declares it; `null` is a free dimension. */
export interface Port {
  readonly name: string;
  readonly type: DataType;
  readonly dims: readonly (number | null)[];
}

export type Feeds = { readonly [name: string]: Feed };
export type Outputs = { readonly [name: string]: Output };

export const shown = (p: Port): string => `${p.type}[${p.dims.map((d) => d ?? "?").join(", ")}]`;
export const countOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
export const isTyped = (v: unknown): v is TypedArray => ArrayBuffer.isView(v) && !(v instanceof DataView);

/** True for an array whose memory went to another thread; its length is 0 then. Node 20 lacks `ArrayBuffer.detached`. */
export function detached(a: TypedArray): boolean {
  if (a.length > 0) return false;
  try {
    new Uint8Array(a.buffer);
    return false;
  } catch {
    return true;
  }
}

/** Dims of a feed: those given, or the declared ones with the free one worked out. */
export function dimsOf(port: Port, feed: Feed): readonly number[] {
  const { name } = port;
  const data = isTyped(feed) ? feed : feed?.data;
  if (!isTyped(data) || !(data instanceof arrays[port.type])) {
    const got = isTyped(data) ? data.constructor.name : data === null ? "null" : typeof data;
    return fail("CEC6005", {
      message: `the input "${name}" is ${shown(port)}, which takes a ${arrays[port.type].name}; it is a ${got}`,
      at: { tensor: name },
    });
  }
  if (detached(data))
    fail("CEC6005", {
      message: `the array of the input "${name}" is gone: it was transferred`,
      help: "give a copy, or transfer it after the run",
      at: { tensor: name },
    });
  if (!isTyped(feed)) {
    if (!Array.isArray(feed.dims) || !feed.dims.every((d) => Number.isSafeInteger(d) && d >= 0))
      fail("CEC6005", {
        message: `the dims of the input "${name}" are no list of whole numbers`,
        help: `${shown(port)} takes ${port.dims.length}, such as [${port.dims.map((d) => d ?? 1).join(", ")}]`,
        at: { tensor: name },
      });
    if (countOf(feed.dims) !== data.length)
      fail("CEC6005", {
        message: `the input "${name}" has ${data.length} values, its dims [${feed.dims}] take ${countOf(feed.dims)}`,
        at: { tensor: name },
      });
    if (feed.dims.length !== port.dims.length || feed.dims.some((d, i) => port.dims[i] !== null && port.dims[i] !== d))
      fail("CEC6005", { message: `the input "${name}" is ${shown(port)}, which dims [${feed.dims}] do not fit`, at: { tensor: name } });
    return feed.dims;
  }
  const known = countOf(port.dims.map((d) => d ?? 1));
  const free = port.dims.filter((d) => d === null).length;
  if (free > 1)
    fail("CEC6005", {
      message: `the input "${name}" is ${shown(port)}: with ${free} free dimensions its dims must be given`,
      help: "give { data, dims }",
      at: { tensor: name },
    });
  if (free === 0 ? data.length !== known : known === 0 || data.length % known !== 0)
    fail("CEC6005", {
      message: `the input "${name}" has ${data.length} values; ${shown(port)} takes ${free === 0 ? known : `a multiple of ${known}`}`,
      at: { tensor: name },
    });
  return port.dims.map((d) => d ?? data.length / known);
}

export function outputOf(row: AddonResult, target: TypedArray | undefined): Output {
  const type = row.type as DataType;
  const make = arrays[type];
  return { type, dims: row.dims, data: target ?? new make(row.buffer as ArrayBuffer) };
}

export const portOf = (t: { readonly name: string; readonly type: string; readonly dims: readonly number[] }): Port => ({
  name: t.name,
  type: t.type as DataType,
  dims: t.dims.map((d) => (d < 0 ? null : d)),
});
