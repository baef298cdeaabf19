/** NumPy `.npy` (format 1 to 3, C order) and `.npz` files. Source: numpy.lib.format, "NEP 1: a simple file format for NumPy arrays". */
import { readFileSync } from "node:fs";
import { unzipSync } from "fflate";
import { z } from "zod";
import { type ElementType, elementTypes, fail, fromBytes, type Tensor, toBytes } from "../../core/index.js";
import type { Dataset } from "./dataset.js";
import { fileSize, readRange } from "./files.js";

const descriptors: Readonly<Record<string, ElementType>> = {
  "<f4": "f32",
  "<f8": "f64",
  "<f2": "f16",
  "<i8": "i64",
  "<i4": "i32",
  "<i2": "i16",
  "|i1": "i8",
  "<i1": "i8",
  "<u8": "u64",
  "<u4": "u32",
  "<u2": "u16",
  "|u1": "u8",
  "<u1": "u8",
  "|b1": "bool",
  "<c8": "c64",
  "<c16": "c128",
};

export interface NpyHeader {
  readonly type: ElementType;
  readonly dims: readonly number[];
  /** Where the data starts. */
  readonly offset: number;
}

/** Reads the header from the first bytes of a file. `what` names the file in messages. */
export function npyHeader(bytes: Uint8Array, what: string): NpyHeader {
  const bad = (why: string): never =>
    fail("CEC5002", {
      message: `${what} is no NumPy array that cec reads`,
      why,
      help: "save it with numpy.save(path, array) in C order, little endian, without objects",
    });
  if (bytes.length < 12 || bytes[0] !== 0x93 || new TextDecoder("latin1").decode(bytes.subarray(1, 6)) !== "NUMPY")
    bad("the magic bytes \\x93NUMPY are missing");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const wide = (bytes[6] as number) >= 2;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = wide ? 12 : 10;
  if (start + length > bytes.length) bad("the header is longer than the file");
  const text = new TextDecoder("latin1").decode(bytes.subarray(start, start + length));
  const descr = /'descr':\s*'([^']+)'/.exec(text)?.[1] ?? bad(`the header has no simple type: ${text.slice(0, 80)}`);
  const type = descriptors[descr] ?? bad(`its element type is ${descr}`);
  if (/'fortran_order':\s*True/.test(text)) bad("it is in Fortran order");
  const shape = /'shape':\s*\(([^)]*)\)/.exec(text)?.[1] ?? bad("the header has no shape");
  const dims = shape
    .split(",")
    .map((s) => s.trim())
    .filter((s) => s !== "")
    .map(Number);
  if (dims.some((d) => !Number.isSafeInteger(d) || d < 0)) bad(`its shape is (${shape})`);
  return { type, dims, offset: start + length };
}

/** Bytes of a `.npy` file (format 1.0). */
export function encodeNpy(t: Tensor): Uint8Array {
  const descr = Object.entries(descriptors).find(([, type]) => type === t.type)?.[0];
  if (descr === undefined) fail("CEC5002", { message: `a tensor of type ${t.type} has no NumPy form`, help: "cast it to f32 in the model" });
  const dims = t.dims.length === 1 ? `${t.dims[0]},` : t.dims.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${dims}), }`;
  const pad = 64 - ((10 + text.length + 1) % 64);
  const header = `${text}${" ".repeat(pad % 64)}\n`;
  const body = toBytes(t);
  const out = new Uint8Array(10 + header.length + body.length);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  out.set(new TextEncoder().encode(header), 10);
  out.set(body, 10 + header.length);
  return out;
}

export function decodeNpy(bytes: Uint8Array, what: string): Tensor {
  const h = npyHeader(bytes, what);
  const body = bytes.subarray(h.offset);
  try {
    return fromBytes(h.type, h.dims, body);
  } catch (error) {
    return fail("CEC5002", {
      message: `${what}: the data does not match the header`,
      why: (error as Error).message,
      help: "the file is truncated or damaged",
    });
  }
}

export const readNpy = (path: string): Tensor => {
  fileSize(path, "array file");
  return decodeNpy(new Uint8Array(readFileSync(path)), path);
};

export const npyOptions = z
  .object({
    path: z.string().describe("array whose first axis is the sample"),
    labels: z.string().optional().describe("integer array, one class index a sample"),
    input: z.string().default("").describe("graph input that the samples feed; the only input when empty"),
  })
  .strict();

const labelsOf = (t: Tensor, what: string): Int32Array => {
  if (t.dims.length !== 1 || elementTypes[t.type].kind === "float")
    fail("CEC5003", { message: `${what}: labels are ${t.type}[${t.dims.join(", ")}]`, why: "one whole number a sample is expected" });
  return Int32Array.from(t.data as Int32Array, Number);
};

export function openNpy(name: string, o: z.infer<typeof npyOptions>): Dataset {
  const what = `data set ${name}`;
  const bytes = fileSize(o.path, what);
  const header = npyHeader(readRange(o.path, 0, Math.min(bytes, 1 << 16), what), o.path);
  const [size, ...sample] = header.dims;
  if (size === undefined) return fail("CEC5002", { message: `${what}: ${o.path} holds a single number`, help: "the first axis must be the sample" });
  const stride = sample.reduce((a, b) => a * b, 1) * (elementTypes[header.type].bits / 8);
  if (header.offset + size * stride !== bytes)
    fail("CEC5002", {
      message: `${what}: ${o.path} has ${bytes} bytes`,
      why: `its shape [${header.dims.join(", ")}] asks for ${header.offset + size * stride}`,
      help: "the file is truncated or damaged",
    });
  const labels = o.labels === undefined ? null : labelsOf(readNpy(o.labels), what);
  if (labels !== null && labels.length !== size) fail("CEC5003", { message: `${what}: ${size} samples but ${labels.length} labels` });
  return {
    name,
    size,
    shapes: { [o.input]: sample },
    hasLabels: labels !== null,
    async read(start, count) {
      const data = fromBytes(header.type, [count, ...sample], readRange(o.path, header.offset + start * stride, count * stride, what));
      return { arrays: { [o.input]: data }, labels: labels?.subarray(start, start + count) ?? null };
    },
  };
}

export const npzOptions = z
  .object({
    path: z.string().describe("archive with one array per graph input, first axis the sample"),
    labels: z.string().default("labels").describe("name of the array that holds class indices, where there is one"),
  })
  .strict();

export function openNpz(name: string, o: z.infer<typeof npzOptions>): Dataset {
  const what = `data set ${name}`;
  fileSize(o.path, what);
  let members: Record<string, Uint8Array>;
  try {
    members = unzipSync(new Uint8Array(readFileSync(o.path)));
  } catch (error) {
    return fail("CEC5002", { message: `${what}: ${o.path} is no .npz archive`, why: (error as Error).message, help: "save it with numpy.savez" });
  }
  const arrays = new Map(Object.entries(members).map(([file, bytes]) => [file.replace(/\.npy$/, ""), decodeNpy(bytes, `${o.path}: ${file}`)]));
  const labels = arrays.get(o.labels);
  arrays.delete(o.labels);
  const sizes = new Set([...arrays.values()].map((t) => t.dims[0] ?? -1));
  if (labels !== undefined) sizes.add(labels.dims[0] ?? -1);
  const [size = -1] = sizes;
  if (sizes.size !== 1 || size < 0)
    fail("CEC5003", {
      message: `${what}: the arrays of ${o.path} differ in their first axis`,
      why: [...arrays].map(([k, t]) => `${k} [${t.dims.join(", ")}]`).join(", "),
      help: "the first axis of each array is the sample",
    });
  const classes = labels === undefined ? null : labelsOf(labels, what);
  return {
    name,
    size,
    shapes: Object.fromEntries([...arrays].map(([k, t]) => [k, t.dims.slice(1)])),
    hasLabels: classes !== null,
    async read(start, count) {
      const part = (t: Tensor): Tensor => {
        const stride = t.dims.slice(1).reduce((a, b) => a * b, 1);
        return { type: t.type, dims: [count, ...t.dims.slice(1)], data: (t.data as Float32Array).subarray(start * stride, (start + count) * stride) };
      };
      return { arrays: Object.fromEntries([...arrays].map(([k, t]) => [k, part(t)])), labels: classes?.subarray(start, start + count) ?? null };
    },
  };
}
