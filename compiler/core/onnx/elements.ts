/** Element types by ONNX number, and tensors to and from TensorProto. */
import { realpathSync, statSync } from "node:fs";
import { isAbsolute, relative, resolve, sep } from "node:path";
import { fail } from "../diagnostics/index.js";
import { type Blob, blobOf, fileBlob, memoryBlob, tensor } from "../ir/tensor.js";
import { byteSize, type ElementType, elementTypes } from "../ir/types.js";
import { type TensorProto, toBig, toInt } from "./schema.js";

export const elementNumbers: Readonly<Record<ElementType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  string: 8,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
  c64: 14,
  c128: 15,
  bf16: 16,
  f8e4m3fn: 17,
  f8e4m3fnuz: 18,
  f8e5m2: 19,
  f8e5m2fnuz: 20,
  u4: 21,
  i4: 22,
  f4e2m1: 23,
  f8e8m0: 24,
  u2: 25,
  i2: 26,
};

const byNumber = new Map(Object.entries(elementNumbers).map(([k, v]) => [v, k as ElementType]));

/** Fails with CEC3005 for a number that ONNX does not define. */
export function elementOf(number: number, where: string): ElementType {
  return (
    byNumber.get(number) ??
    fail("CEC3005", {
      message: `${where} has element type number ${number}`,
      why: "cec knows 1 to 26",
      help: "the file is damaged, or newer than this cec",
    })
  );
}

export interface TensorSource {
  /** Folder that external data must stay in; `null` when the model did not come from a file. */
  readonly baseDir: string | null;
}

/** Dimensions checked for sign and size. */
export function dimsOf(t: TensorProto, where: string): number[] {
  const dims = (t.dims ?? []).map(toInt);
  let count = 1;
  for (const d of dims) {
    if (!Number.isSafeInteger(d) || d < 0) fail("CEC3004", { message: `${where} has dimension ${d}`, help: "the file is damaged" });
    count *= d;
  }
  if (count * 16 > Number.MAX_SAFE_INTEGER) fail("CEC3004", { message: `${where} would have ${count} elements`, help: "the file is damaged" });
  return dims;
}

/** Data of a TensorProto as raw bytes; external data by reference. */
export function blobOfProto(
  t: TensorProto,
  source: TensorSource,
  where: string,
): { readonly elem: ElementType; readonly dims: number[]; readonly blob: Blob } {
  const elem = elementOf(t.data_type ?? 0, where);
  const dims = dimsOf(t, where);
  const count = dims.reduce((a, b) => a * b, 1);
  const want = byteSize(elem, count);
  const wrong = (have: string): never =>
    fail("CEC3003", {
      message: `${where} holds ${have}`,
      why: `${elem}[${dims.join(", ")}] asks for ${count} elements, ${want} bytes`,
      help: "the file is damaged or was cut off",
    });
  if (t.segment != null) wrong("one segment of its data");
  if (t.data_location === 1) {
    const blob = external(t, source, where, want);
    return { elem, dims, blob };
  }
  if (elem === "string") {
    const values = (t.string_data ?? []).map((s) => textOf(s, where));
    if (values.length !== count) wrong(`${values.length} strings`);
    return { elem, dims, blob: blobOf({ type: "string", dims, data: values }) };
  }
  if (t.raw_data !== undefined && t.raw_data.length > 0) {
    if (t.raw_data.length !== want) wrong(`${t.raw_data.length} bytes`);
    return { elem, dims, blob: memoryBlob(t.raw_data) };
  }
  return { elem, dims, blob: memoryBlob(typedFields(t, elem, dims, count, wrong)) };
}

/** Strings are held as text: bytes that are none would be written back as others. */
function textOf(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return fail("CEC3005", {
      message: `${where} holds strings that are not UTF-8`,
      why: "ONNX asks for UTF-8 in string tensors",
      help: "store bytes as a uint8 tensor",
    });
  }
}

/** Bytes from float_data, int32_data, int64_data, double_data or uint64_data. */
function typedFields(t: TensorProto, elem: ElementType, dims: number[], count: number, wrong: (have: string) => never): Uint8Array {
  const bytes = (b: Blob): Uint8Array => b.bytes();
  const complex = elementTypes[elem].kind === "complex" ? 2 : 1;
  const list = <T>(v: readonly T[] | undefined, n = count): readonly T[] => {
    const values = v ?? [];
    return values.length === n ? values : wrong(`${values.length} values`);
  };
  switch (elem) {
    case "f32":
    case "c64":
      return bytes(blobOf(tensor(elem, dims, list(t.float_data, count * complex))));
    case "f64":
    case "c128":
      return bytes(blobOf(tensor(elem, dims, list(t.double_data, count * complex))));
    case "i64":
      return bytes(blobOf(tensor(elem, dims, list(t.int64_data).map(toBig))));
    case "u64":
      return bytes(blobOf(tensor(elem, dims, list(t.uint64_data).map(toBig))));
    case "u32":
      return bytes(
        blobOf(
          tensor(
            elem,
            dims,
            list(t.uint64_data).map((v) => Number(toBig(v))),
          ),
        ),
      );
    default: {
      const { bits } = elementTypes[elem];
      // Sub-byte types come packed, one byte in each int32.
      if (bits < 8) return Uint8Array.from(list(t.int32_data, byteSize(elem, count)));
      if (bits === 16) return new Uint8Array(Uint16Array.from(list(t.int32_data)).buffer);
      if (bits === 32) return new Uint8Array(Int32Array.from(list(t.int32_data)).buffer);
      return Uint8Array.from(list(t.int32_data));
    }
  }
}

function external(t: TensorProto, source: TensorSource, where: string, want: number): Blob {
  const entries = new Map((t.external_data ?? []).map((e) => [e.key ?? "", e.value ?? ""]));
  const location = entries.get("location") ?? "";
  const bad = (why: string): never =>
    fail("CEC3009", { message: `${where}: external data "${location}" is refused`, why, help: "external data must be a file in the model's folder" });
  if (source.baseDir === null) bad("the model did not come from a file, so there is no folder to look in");
  if (location === "" || isAbsolute(location) || location.includes("\u0000")) bad("the location is empty or absolute");
  const base = source.baseDir as string;
  const path = resolve(base, location);
  const outside = (root: string, p: string): boolean => {
    const r = relative(root, p);
    return r === "" || r === ".." || r.startsWith(`..${sep}`) || isAbsolute(r);
  };
  if (outside(base, path)) bad("the path leaves the model's folder");
  let size = 0;
  try {
    if (outside(realpathSync(base), realpathSync(path))) bad("a symbolic link leaves the model's folder");
    const s = statSync(path);
    if (!s.isFile()) bad("it is not a file");
    size = s.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    bad((error as Error).message);
  }
  const number = (key: string, otherwise: number): number => {
    const text = entries.get(key);
    if (text === undefined) return otherwise;
    const v = Number(text);
    return Number.isSafeInteger(v) && v >= 0 ? v : bad(`${key} is "${text}"`);
  };
  const offset = number("offset", 0);
  const length = number("length", want);
  if (length !== want)
    fail("CEC3003", { message: `${where} holds ${length} bytes of external data`, why: `its type asks for ${want}`, help: "the file is damaged" });
  if (offset + length > size) bad(`bytes ${offset} to ${offset + length} are asked for, the file has ${size}`);
  return fileBlob(path, offset, length);
}
