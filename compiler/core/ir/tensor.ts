/**
 * Concrete tensors (`Tensor`) and lazily read constant bytes (`Blob`).
 *
 * A `Blob` is what a graph constant holds: bytes by content, in memory or in a file by reference, so that a model with
 * gigabytes of external data is never held twice. A `Tensor` is a typed view for code that computes.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { fail } from "../diagnostics/index.js";
import { byteSize, type ElementType, elementTypes } from "./types.js";

/**
 * How elements of each type are held in JS. f16, bf16 are raw bits in `Uint16Array`; fp8 raw bits in `Uint8Array`; 4- and 2-bit integers are
 * unpacked, one per array element; bool is 0/1 in `Uint8Array`; complex is interleaved (re, im).
 */
export type TensorData =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | readonly string[];

export interface Tensor {
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

type NumericArrayConstructor =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Uint8ArrayConstructor
  | Int16ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor;

const arrayOf: Record<Exclude<ElementType, "string">, NumericArrayConstructor> = {
  f64: Float64Array,
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  f8e4m3fn: Uint8Array,
  f8e4m3fnuz: Uint8Array,
  f8e5m2: Uint8Array,
  f8e5m2fnuz: Uint8Array,
  f8e8m0: Uint8Array,
  f4e2m1: Uint8Array,
  i64: BigInt64Array,
  i32: Int32Array,
  i16: Int16Array,
  i8: Int8Array,
  i4: Int8Array,
  i2: Int8Array,
  u64: BigUint64Array,
  u32: Uint32Array,
  u16: Uint16Array,
  u8: Uint8Array,
  u4: Uint8Array,
  u2: Uint8Array,
  bool: Uint8Array,
  c64: Float32Array,
  c128: Float64Array,
};

/** JS array elements per tensor element: 2 for complex types. */
const lanes = (t: ElementType): number => (elementTypes[t].kind === "complex" ? 2 : 1);

export const countOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** A zero-filled tensor. */
export function zeros(type: ElementType, dims: readonly number[]): Tensor {
  const n = countOf(dims) * lanes(type);
  if (type === "string") return { type, dims, data: new Array<string>(n).fill("") };
  return { type, dims, data: new arrayOf[type](n) };
}

const INT64_MAX = 2n ** 63n - 1n;
const UINT64_MAX = 2n ** 64n - 1n;

/**
 * A number as a 64-bit integer, its fraction cut off. Numbers at or past the ends of the range become the ends: 2^63 - 1, which files write for "to the end", is
 * 2^63 as a number, and would wrap to the least integer. NaN becomes 0, as in narrower integers.
 */
function toBigInt(type: "i64" | "u64", v: number): bigint {
  if (Number.isNaN(v)) return 0n;
  if (type === "u64") return v >= 2 ** 64 ? UINT64_MAX : v <= -(2 ** 64) ? 0n : BigInt(Math.trunc(v));
  return v >= 2 ** 63 ? INT64_MAX : v <= -(2 ** 63) ? -(2n ** 63n) : BigInt(Math.trunc(v));
}

/**
 * A tensor from plain numbers (or bigints for 64-bit integers, strings for strings). Values are stored as they are, without range checks; numbers past the range
 * of a 64-bit integer become its ends.
 */
export function tensor(type: ElementType, dims: readonly number[], values: ArrayLike<number | bigint | string>): Tensor {
  if (values.length !== countOf(dims) * lanes(type)) {
    throw new RangeError(`${values.length} values do not fill a tensor of shape [${dims.join(", ")}]`);
  }
  if (type === "string") return { type, dims, data: Array.from(values, String) };
  const out = zeros(type, dims);
  if (type === "i64" || type === "u64") {
    const data = out.data as BigInt64Array;
    for (let i = 0; i < values.length; i++) {
      const v = values[i];
      data[i] = typeof v === "number" ? toBigInt(type, v) : BigInt(v as bigint);
    }
    return out;
  }
  const data = out.data as Float64Array;
  for (let i = 0; i < values.length; i++) data[i] = Number(values[i]);
  return out;
}

export const f32 = (dims: readonly number[], values: ArrayLike<number>): Tensor => tensor("f32", dims, values);
export const i64 = (values: readonly (number | bigint)[], dims: readonly number[] = [values.length]): Tensor => tensor("i64", dims, values);

/** Values as JS numbers, whatever the element type (f16, bf16 and fp8 decoded; 64-bit integers lose precision beyond 2^53). */
export function toNumbers(t: Tensor): Float64Array {
  const out = new Float64Array(t.data.length);
  const decode = decoders[t.type];
  if (decode !== undefined) for (let i = 0; i < out.length; i++) out[i] = decode((t.data as Uint16Array)[i] as number);
  else for (let i = 0; i < out.length; i++) out[i] = Number((t.data as ArrayLike<number | bigint | string>)[i]);
  return out;
}

/**
 * A tensor of `type` from JS numbers: rounded to nearest even for floats, 8-bit and smaller floats saturated; truncated and wrapped for integers of up to 32
 * bits, as a C cast of a value in range; 64-bit integers end at their limits. NaN becomes 0 in integers.
 */
export function fromNumbers(type: ElementType, dims: readonly number[], values: ArrayLike<number>): Tensor {
  const encode = encoders[type];
  if (encode === undefined) return tensor(type, dims, values);
  if (values.length !== countOf(dims)) return tensor(type, dims, values);
  const out = zeros(type, dims);
  const data = out.data as Uint16Array;
  for (let i = 0; i < values.length; i++) data[i] = encode(values[i] as number);
  return out;
}

const f32Bits = new Float32Array(1);
const u32Bits = new Uint32Array(f32Bits.buffer);

/** IEEE binary16 bits to number. */
export function decodeF16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exp = (bits >> 10) & 0x1f;
  const frac = bits & 0x3ff;
  if (exp === 0) return sign * frac * 2 ** -24;
  if (exp === 31) return frac ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + frac / 1024) * 2 ** (exp - 15);
}

const f64Value = new Float64Array(1);
const f64Words = new Uint32Array(f64Value.buffer);

/** Number to IEEE binary16 bits, round to nearest even, overflow to infinity. */
export function encodeF16(value: number): number {
  f64Value[0] = value;
  const low = f64Words[0] as number;
  const high = f64Words[1] as number;
  const sign = (high >>> 16) & 0x8000;
  const exp = ((high >>> 20) & 0x7ff) - 1023;
  if (exp === 1024) return Number.isNaN(value) ? 0x7e00 : sign | 0x7c00;
  if (exp > 15) return sign | 0x7c00;
  // Below half the least subnormal, 2^-25, all is zero.
  if (exp < -25) return sign;
  // The upper 21 bits of the significand, the leading one included, in units that leave `shift` bits to round away; `low` only breaks ties.
  const upper = 0x100000 | (high & 0xfffff);
  const shift = exp >= -14 ? 10 : -(exp + 4);
  const kept = upper >>> shift;
  const rest = upper & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  const up = rest > half || (rest === half && (low !== 0 || (kept & 1) === 1)) ? 1 : 0;
  // The leading one of a normal number adds to the exponent field, and so does a carry: 65520 and up become infinity by themselves.
  return sign | (exp >= -14 ? ((exp + 14) << 10) + kept + up : kept + up);
}

export function decodeBf16(bits: number): number {
  u32Bits[0] = (bits << 16) >>> 0;
  return f32Bits[0] as number;
}

/** Number to bfloat16 bits: first to f32, then round to nearest even. */
export function encodeBf16(value: number): number {
  f32Bits[0] = value;
  const b = u32Bits[0] as number;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((b + 0x7fff + ((b >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Rounds to nearest, halves to even (what INT8 requantization and ONNX QuantizeLinear specify). */
export function roundHalfEven(v: number): number {
  const f = Math.floor(v);
  const d = v - f;
  if (d < 0.5) return f;
  if (d > 0.5) return f + 1;
  return f % 2 === 0 ? f : f + 1;
}

/** Small float formats as (exponent bits, mantissa bits, bias); rules for specials per ONNX "Float stored in 8 bits". */
interface SmallFloat {
  readonly exp: number;
  readonly man: number;
  readonly bias: number;
  /** `ieee`: has Inf and NaN; `fn`: all ones is NaN, no Inf; `fnuz`: only 0x80 is NaN, no -0; `finite`: neither. */
  readonly specials: "ieee" | "fn" | "fnuz" | "finite";
}

const smallFloats = {
  f8e4m3fn: { exp: 4, man: 3, bias: 7, specials: "fn" },
  f8e4m3fnuz: { exp: 4, man: 3, bias: 8, specials: "fnuz" },
  f8e5m2: { exp: 5, man: 2, bias: 15, specials: "ieee" },
  f8e5m2fnuz: { exp: 5, man: 2, bias: 16, specials: "fnuz" },
  f4e2m1: { exp: 2, man: 1, bias: 1, specials: "finite" },
} as const satisfies Record<string, SmallFloat>;

function decodeSmall(f: SmallFloat, bits: number): number {
  const signBit = 1 << (f.exp + f.man);
  const negative = (bits & signBit) !== 0;
  const magnitude = bits & (signBit - 1);
  const allOnes = signBit - 1;
  if (f.specials === "fnuz" && negative && magnitude === 0) return Number.NaN;
  if (f.specials === "fn" && magnitude === allOnes) return Number.NaN;
  const e = magnitude >> f.man;
  const m = magnitude & ((1 << f.man) - 1);
  const sign = negative ? -1 : 1;
  if (f.specials === "ieee" && e === (1 << f.exp) - 1) return m ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (e === 0) return sign * m * 2 ** (1 - f.bias - f.man);
  return sign * (1 + m / (1 << f.man)) * 2 ** (e - f.bias);
}

/** The finite values that are not negative, ascending: a format's bits without the sign count them. */
const magnitudes = new Map<SmallFloat, Float64Array>();

function magnitudesOf(f: SmallFloat): Float64Array {
  let values = magnitudes.get(f);
  if (values === undefined) {
    const all = Array.from({ length: 1 << (f.exp + f.man) }, (_, bits) => decodeSmall(f, bits));
    values = Float64Array.from(all.filter(Number.isFinite));
    magnitudes.set(f, values);
  }
  return values;
}

/**
 * Nearest value, ties to even bits; past the largest finite value it is that one. Infinities and NaN by ONNX Cast with saturate=1: infinity is the largest
 * finite value, but NaN in the formats without negative zero; a format without NaN has negative zero instead, as in ONNX's node cases.
 */
function encodeSmall(f: SmallFloat, value: number): number {
  const signBit = 1 << (f.exp + f.man);
  const values = magnitudesOf(f);
  const last = values.length - 1;
  if (Number.isNaN(value)) return f.specials === "fnuz" ? signBit : f.specials === "finite" ? signBit : signBit - 1;
  const sign = value < 0 || Object.is(value, -0) ? signBit : 0;
  if (!Number.isFinite(value)) return f.specials === "fnuz" ? signBit : sign | last;
  const a = Math.abs(value);
  let low = 0;
  let high = last;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if ((values[mid] as number) <= a) low = mid;
    else high = mid - 1;
  }
  const above = low === last ? Number.POSITIVE_INFINITY : (values[low + 1] as number) - a;
  const below = a - (values[low] as number);
  const best = above < below || (above === below && (low & 1) === 1) ? low + 1 : low;
  return best === 0 && f.specials === "fnuz" ? 0 : sign | best;
}

type Code = (v: number) => number;
const small =
  (name: keyof typeof smallFloats, code: (f: SmallFloat, v: number) => number): Code =>
  (v) =>
    code(smallFloats[name], v);

const decoders: { readonly [T in ElementType]?: Code } = {
  f16: decodeF16,
  bf16: decodeBf16,
  f8e4m3fn: small("f8e4m3fn", decodeSmall),
  f8e4m3fnuz: small("f8e4m3fnuz", decodeSmall),
  f8e5m2: small("f8e5m2", decodeSmall),
  f8e5m2fnuz: small("f8e5m2fnuz", decodeSmall),
  f4e2m1: small("f4e2m1", decodeSmall),
  f8e8m0: (b) => (b === 255 ? Number.NaN : 2 ** (b - 127)),
};

const encoders: { readonly [T in ElementType]?: Code } = {
  f16: encodeF16,
  bf16: encodeBf16,
  f8e4m3fn: small("f8e4m3fn", encodeSmall),
  f8e4m3fnuz: small("f8e4m3fnuz", encodeSmall),
  f8e5m2: small("f8e5m2", encodeSmall),
  f8e5m2fnuz: small("f8e5m2fnuz", encodeSmall),
  f4e2m1: small("f4e2m1", encodeSmall),
  f8e8m0: (v) => (Number.isNaN(v) ? 255 : Math.min(254, Math.max(0, Math.round(Math.log2(Math.abs(v))) + 127))),
  bool: (v) => (v !== 0 ? 1 : 0),
};

/** Constant bytes by content, in ONNX raw layout (little endian; 4- and 2-bit packed, low bits first). */
export interface Blob {
  readonly byteLength: number;
  /** SHA-256 of the bytes, hex. Computed once, streaming for files. */
  hash(): string;
  /** The bytes. For file blobs they are read at each call and not kept: hold them only while they are needed. */
  bytes(): Uint8Array;
  /** The bytes piece by piece, for weights larger than one wants to hold. A piece is only good until the next one is taken. */
  chunks(): Iterable<Uint8Array>;
  /** Where a blob by reference stands. */
  readonly file?: string;
}

export function memoryBlob(bytes: Uint8Array): Blob {
  let hash: string | undefined;
  return {
    byteLength: bytes.byteLength,
    hash: () => {
      hash ??= createHash("sha256").update(bytes).digest("hex");
      return hash;
    },
    bytes: () => bytes,
    chunks: () => [bytes],
  };
}

/** Bytes that are made when somebody asks for them, and then kept: `make` gives `byteLength` bytes, the same ones each time. */
export function lazyBlob(byteLength: number, make: () => Uint8Array): Blob {
  let made: Blob | undefined;
  const blob = (): Blob => {
    made ??= memoryBlob(make());
    return made;
  };
  return { byteLength, hash: () => blob().hash(), bytes: () => blob().bytes(), chunks: () => blob().chunks() };
}

/** Bytes read from a file at a time. */
const CHUNK = 1 << 24;

/**
 * Bytes `[offset, offset + byteLength)` of a file, read on demand. The caller has checked that the range lies in the file.
 * @throws CEC3009 where the file cannot be read, or has become shorter since
 */
export function fileBlob(path: string, offset: number, byteLength: number): Blob {
  let hash: string | undefined;
  const refuse = (why: string): never =>
    fail("CEC3009", { message: `cannot read weights from ${path}`, why, help: "the file changed or went away after the model was read: run again" });
  const readInto = (into: Uint8Array, at: number): void => {
    let fd = -1;
    try {
      fd = openSync(path, "r");
      let done = 0;
      while (done < into.byteLength) {
        // One read takes less than 2 GiB.
        const n = readSync(fd, into, done, Math.min(into.byteLength - done, 1 << 30), at + done);
        if (n === 0) refuse(`it ends at byte ${at + done}, a tensor reaches to byte ${at + into.byteLength}`);
        done += n;
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
      refuse((error as Error).message);
    } finally {
      if (fd >= 0) closeSync(fd);
    }
  };
  function* chunks(): Generator<Uint8Array> {
    const chunk = new Uint8Array(Math.min(byteLength, CHUNK));
    for (let at = 0; at < byteLength; at += chunk.byteLength) {
      const part = chunk.subarray(0, Math.min(chunk.byteLength, byteLength - at));
      readInto(part, offset + at);
      yield part;
    }
  }
  return {
    file: path,
    byteLength,
    hash: () => {
      if (hash === undefined) {
        const h = createHash("sha256");
        for (const part of chunks()) h.update(part);
        hash = h.digest("hex");
      }
      return hash;
    },
    bytes: () => {
      const out = new Uint8Array(byteLength);
      readInto(out, offset);
      return out;
    },
    chunks,
  };
}

/** A tensor's bytes in ONNX raw layout. Shares memory with the tensor where the layout allows it. */
export function toBytes(t: Tensor): Uint8Array {
  if (t.type === "string") return new TextEncoder().encode(JSON.stringify(t.data));
  const bits = elementTypes[t.type].bits;
  const data = t.data as Uint8Array;
  if (bits >= 8) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  const out = new Uint8Array(byteSize(t.type, data.length));
  for (let i = 0; i < data.length; i++) out[Math.floor(i / perByte)]! |= ((data[i] as number) & mask) << ((i % perByte) * bits);
  return out;
}

/** The tensor that raw ONNX bytes hold. Copies only where alignment or sub-byte packing asks for it. Throws RangeError on a wrong byte count. */
export function fromBytes(type: ElementType, dims: readonly number[], bytes: Uint8Array): Tensor {
  const count = countOf(dims);
  if (type === "string") return { type, dims, data: JSON.parse(new TextDecoder().decode(bytes)) as string[] };
  const want = byteSize(type, count);
  if (bytes.byteLength !== want) throw new RangeError(`${type}[${dims.join(", ")}] takes ${want} bytes, there are ${bytes.byteLength}`);
  const bits = elementTypes[type].bits;
  const Ctor = arrayOf[type];
  if (bits >= 8) {
    const aligned = bytes.byteOffset % Ctor.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
    return { type, dims, data: new Ctor(aligned.buffer as ArrayBuffer, aligned.byteOffset, count * lanes(type)) };
  }
  const perByte = 8 / bits;
  const signed = elementTypes[type].kind === "int";
  const out = zeros(type, dims);
  const data = out.data as Int8Array;
  for (let i = 0; i < count; i++) {
    const v = ((bytes[Math.floor(i / perByte)] as number) >> ((i % perByte) * bits)) & ((1 << bits) - 1);
    data[i] = signed && v >= 1 << (bits - 1) ? v - (1 << bits) : v;
  }
  return out;
}

export const blobOf = (t: Tensor): Blob => memoryBlob(toBytes(t));
