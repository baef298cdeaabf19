/**
 * Writes a lowered graph as a program file (`include/cec/program_format.md`).
 *
 * Does not check what ops mean: the engine does, when it loads the program.
 */
import { fail } from "../../compiler/core/diagnostics/index.js";
import type { AttrValue, Graph, Op, Value } from "../../compiler/core/ir/graph.js";
import { type Blob, fromBytes, memoryBlob, toBytes } from "../../compiler/core/ir/tensor.js";
import { byteSize, type ElementType, elementCount, elementTypes, type TensorType } from "../../compiler/core/ir/types.js";

/** ONNX TensorProto.DataType numbers of the element types that the engine has. */
const typeNumbers: Partial<Record<ElementType, number>> = {
  f32: 1,
  u8: 2,
  i8: 3,
  u16: 4,
  i16: 5,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  f64: 11,
  u32: 12,
  u64: 13,
  bf16: 16,
};
/** Sub-byte constants are stored one element a byte. */
const widened: Partial<Record<ElementType, ElementType>> = { i4: "i8", i2: "i8", u4: "u8", u2: "u8" };

const ALIGNMENT = 64;
const HEADER_BYTES = 48;
const align = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT;

/** A growing little-endian buffer. */
class Writer {
  #bytes = new Uint8Array(1 << 12);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  #room(n: number): number {
    const at = this.#length;
    this.#length += n;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
  u8(v: number): void {
    const at = this.#room(1);
    this.#view.setUint8(at, v);
  }
  u16(v: number): void {
    const at = this.#room(2);
    this.#view.setUint16(at, v, true);
  }
  u32(v: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, v, true);
  }
  i32(v: number): void {
    const at = this.#room(4);
    this.#view.setInt32(at, v, true);
  }
  i64(v: number): void {
    const at = this.#room(8);
    this.#view.setBigInt64(at, BigInt(v), true);
  }
  f64(v: number): void {
    const at = this.#room(8);
    this.#view.setFloat64(at, v, true);
  }
  raw(bytes: Uint8Array): void {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
  }
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}

interface Tensor {
  readonly name: string;
  readonly type: ElementType;
  readonly dims: readonly number[];
  readonly data?: Blob;
}

function tensorTypeOf(value: Value): TensorType {
  if (value.type.kind !== "tensor") {
    fail("CEC6010", {
      message: `the value "${value.name}" has no known element type`,
      why: "a program stores the element type of every tensor",
      help: "use --engine ort",
      at: { tensor: value.name },
    });
  }
  return value.type;
}

/**
 * The bytes of a `.cecb` file. Op kinds and attributes are written as they stand (`runtime-native/README.md` lists what the engine takes).
 *
 * @throws CecError CEC6010 where the graph holds regions, carried protos, or element types that programs do not have
 * @example
 * const session = createSession(serialize(lowered), { threads: 2 });
 */
export function serialize(graph: Graph): Uint8Array {
  const strings = new Map<string, number>();
  const string = (s: string): number => {
    const known = strings.get(s);
    if (known !== undefined) return known;
    strings.set(s, strings.size);
    return strings.size - 1;
  };
  const tensors: Tensor[] = [];
  const ids = new Map<Value, number>();
  const names = new Set(graph.inputs.map((v) => v.name));
  for (const op of graph.ops) for (const v of op.outputs) names.add(v.name);

  const addTensor = (tensor: Tensor): number => {
    tensors.push(tensor);
    return tensors.length - 1;
  };
  const addValue = (value: Value, op: Op | null): void => {
    const { elem, shape } = tensorTypeOf(value);
    const constant = op?.kind === "constant" ? op.data : undefined;
    const wide = constant === undefined ? undefined : widened[elem];
    const type = wide ?? elem;
    if (typeNumbers[type] === undefined) {
      fail("CEC6010", {
        message: `the value "${value.name}" is ${elem}, which the native engine does not have`,
        help: "use --engine ort",
        at: { tensor: value.name },
      });
    }
    if (shape === null && op === null) {
      fail("CEC6010", { message: `the input "${value.name}" has no known rank`, help: "use --engine ort", at: { tensor: value.name } });
    }
    const dims = (shape ?? []).map((d) => (typeof d === "number" ? d : -1));
    if (dims.length > 8)
      fail("CEC6010", { message: `the value "${value.name}" has ${dims.length} dimensions; the engine takes 8`, at: { tensor: value.name } });
    const data =
      constant === undefined
        ? undefined
        : wide === undefined
          ? constant
          : memoryBlob(toBytes({ ...fromBytes(elem, dims, constant.bytes()), type: wide }));
    if (data !== undefined && data.byteLength !== byteSize(type, elementCount(dims) as number)) {
      fail("CEC6010", {
        message: `the constant "${value.name}" has ${data.byteLength} bytes, its type takes ${byteSize(type, elementCount(dims) as number)}`,
        at: { tensor: value.name },
      });
    }
    ids.set(value, addTensor({ name: value.name, type, dims, ...(data === undefined ? {} : { data }) }));
  };

  const ops = new Writer();
  let opCount = 0;
  const writeAttr = (op: Op, key: string, value: AttrValue): void => {
    ops.u32(string(key));
    if (typeof value === "boolean") {
      ops.u32(1);
      ops.i64(value ? 1 : 0);
    } else if (typeof value === "number") {
      const whole = Number.isSafeInteger(value) && !Object.is(value, -0);
      ops.u32(whole ? 1 : 2);
      if (whole) ops.i64(value);
      else ops.f64(value);
    } else if (typeof value === "string") {
      ops.u32(5);
      ops.u32(string(value));
    } else if (Array.isArray(value)) {
      const list = value as readonly (number | string)[];
      if (list.some((v) => typeof v === "string")) {
        ops.u32(6);
        ops.u32(list.length);
        for (const v of list) ops.u32(string(String(v)));
      } else {
        const whole = list.every((v) => Number.isSafeInteger(v) && !Object.is(v, -0));
        ops.u32(whole ? 3 : 4);
        ops.u32(list.length);
        for (const v of list as readonly number[]) whole ? ops.i64(v) : ops.f64(v);
      }
    } else {
      fail("CEC6010", {
        message: `${op.kind} "${op.name}": attribute ${key} holds raw bytes, which programs do not store`,
        help: "use --engine ort",
        at: { node: op.name },
      });
    }
  };

  for (const value of graph.inputs) addValue(value, null);
  for (const op of graph.ops) {
    if (op.regions.length > 0)
      fail("CEC6002", { message: `the native engine has no op ${op.kind} ("${op.name}")`, help: "use --engine ort", at: { node: op.name } });
    for (const value of op.outputs) addValue(value, op);
    if (op.kind === "constant") continue;
    const inputs = op.inputs.map((v) => (v === null ? -1 : (ids.get(v) as number)));
    const attrs = Object.entries(op.attrs).filter(([key]) => !(op.kind === "constant_of_shape" && (key === "value" || key === "value_type")));
    if (op.kind === "constant_of_shape" && op.attrs["value"] !== undefined) {
      // The fill value is bytes in the IR and an operand here.
      let name = `${op.outputs[0]?.name ?? op.name}.value`;
      while (names.has(name)) name += "_";
      names.add(name);
      const type = (op.attrs["value_type"] ?? "f32") as ElementType;
      if (typeNumbers[type] === undefined)
        fail("CEC6010", { message: `${op.kind} "${op.name}" fills with ${type}, which the native engine does not have`, at: { node: op.name } });
      inputs.push(addTensor({ name, type, dims: [1], data: op.attrs["value"] as Blob }));
    }
    ops.u32(string(op.kind));
    ops.u32(string(op.name || (op.outputs[0]?.name ?? "")));
    ops.u16(inputs.length);
    ops.u16(op.outputs.length);
    ops.u16(attrs.length);
    ops.u16(0);
    for (const id of inputs) ops.i32(id);
    for (const v of op.outputs) ops.i32(ids.get(v) as number);
    for (const [key, value] of attrs) writeAttr(op, key, value);
    opCount++;
  }

  const head = new Writer();
  const placed = new Map<Blob, number>();
  let blobBytes = 0;
  const body = new Writer();
  body.u32(tensors.length);
  for (const tensor of tensors) {
    body.u32(string(tensor.name));
    body.u8(typeNumbers[tensor.type] as number);
    body.u8(tensor.dims.length);
    body.u8(tensor.data === undefined ? 0 : 1);
    body.u8(0);
    for (const d of tensor.dims) body.i64(d);
    if (tensor.data === undefined) continue;
    let at = placed.get(tensor.data);
    if (at === undefined) {
      at = align(blobBytes);
      placed.set(tensor.data, at);
      blobBytes = at + tensor.data.byteLength;
    }
    body.i64(at);
    body.i64(tensor.data.byteLength);
  }
  const tail = new Writer();
  tail.u32(graph.inputs.length);
  for (const value of graph.inputs) tail.u32(ids.get(value) as number);
  tail.u32(graph.outputs.length);
  for (const output of graph.outputs) {
    tail.u32(ids.get(output.value) as number);
    tail.u32(string(output.name));
  }
  head.u32(strings.size);
  const utf8 = new TextEncoder();
  for (const s of strings.keys()) {
    const bytes = utf8.encode(s);
    head.u32(bytes.length);
    head.raw(bytes);
  }
  const count = new Writer();
  count.u32(opCount);
  const tables = [head, body, count, ops, tail].map((w) => w.done());
  const tableBytes = tables.reduce((n, t) => n + t.length, 0);
  const blobsAt = align(HEADER_BYTES + tableBytes);
  const total = blobsAt + blobBytes;

  const out = new Uint8Array(total);
  const header = new Writer();
  header.raw(utf8.encode("CECB"));
  header.u32(1);
  for (const n of [total, HEADER_BYTES, tableBytes, blobsAt, blobBytes]) header.i64(n);
  out.set(header.done(), 0);
  let at = HEADER_BYTES;
  for (const table of tables) {
    out.set(table, at);
    at += table.length;
  }
  for (const [blob, offset] of placed) out.set(blob.bytes(), blobsAt + offset);
  return out;
}

/** Bits of an element type as the engine stores it: sub-byte types take a byte. */
export const storedBits = (type: ElementType): number => Math.max(8, elementTypes[type].bits);
