/** Tensors of every element type, in each field that TensorProto has for them. The values are what numpy_helper of onnx 1.23.2 (with ml_dtypes) writes and reads. */
import { expect, it } from "vitest";
import { constantTensor, elementNumbers, exportOnnx, importOnnx, importTensor, toNumbers } from "../../../../compiler/core/index.js";
import { modelCodec, type TensorProto, tensorCodec } from "../../../../compiler/core/onnx/schema.js";
import { codeOf, model, node, value } from "./support.js";

const hex = (s: string): Uint8Array => new Uint8Array(Buffer.from(s, "hex"));
/** A 64-bit integer as protobufjs takes it. */
const long = (v: bigint): never => ({ low: Number(BigInt.asIntN(32, v)), high: Number(BigInt.asIntN(32, v >> 32n)), unsigned: false }) as never;

interface Sample {
  readonly type: keyof typeof elementNumbers;
  readonly typed: TensorProto;
  readonly raw: string;
  readonly values: readonly number[];
}

const samples: readonly Sample[] = [
  {
    type: "f32",
    typed: { float_data: [0.10000000149011612, -2.700000047683716, 300, 0] },
    raw: "cdcccc3dcdcc2cc00000964300000000",
    values: [0.10000000149011612, -2.700000047683716, 300, 0],
  },
  {
    type: "f64",
    typed: { double_data: [0.1, -2.7, 300, 0] },
    raw: "9a9999999999b93f9a999999999905c00000000000c072400000000000000000",
    values: [0.1, -2.7, 300, 0],
  },
  { type: "f16", typed: { int32_data: [11878, 49510, 23728, 0] }, raw: "662e66c1b05c0000", values: [0.0999755859375, -2.69921875, 300, 0] },
  { type: "bf16", typed: { int32_data: [15821, 49197, 17302, 0] }, raw: "cd3d2dc096430000", values: [0.10009765625, -2.703125, 300, 0] },
  { type: "f8e4m3fn", typed: { int32_data: [29, 195, 121, 0] }, raw: "1dc37900", values: [0.1015625, -2.75, 288, 0] },
  { type: "f8e4m3fnuz", typed: { int32_data: [37, 203, 127, 0] }, raw: "25cb7f00", values: [0.1015625, -2.75, 240, 0] },
  { type: "f8e5m2", typed: { int32_data: [46, 193, 93, 0] }, raw: "2ec15d00", values: [0.09375, -2.5, 320, 0] },
  { type: "f8e5m2fnuz", typed: { int32_data: [50, 197, 97, 0] }, raw: "32c56100", values: [0.09375, -2.5, 320, 0] },
  { type: "f4e2m1", typed: { int32_data: [241, 5] }, raw: "f105", values: [0.5, -6, 3] },
  { type: "i8", typed: { int32_data: [-128, 127, -1] }, raw: "807fff", values: [-128, 127, -1] },
  { type: "u8", typed: { int32_data: [0, 255, 7] }, raw: "00ff07", values: [0, 255, 7] },
  { type: "i16", typed: { int32_data: [-32768, 32767, -1] }, raw: "0080ff7fffff", values: [-32768, 32767, -1] },
  { type: "u16", typed: { int32_data: [0, 65535, 7] }, raw: "0000ffff0700", values: [0, 65535, 7] },
  { type: "i32", typed: { int32_data: [-(2 ** 31), 2 ** 31 - 1] }, raw: "00000080ffffff7f", values: [-(2 ** 31), 2 ** 31 - 1] },
  { type: "u32", typed: { uint64_data: [0, 2 ** 32 - 1] }, raw: "00000000ffffffff", values: [0, 2 ** 32 - 1] },
  {
    type: "i64",
    typed: { int64_data: [long(-(2n ** 63n)), long(2n ** 63n - 1n)] },
    raw: "0000000000000080ffffffffffffff7f",
    values: [-(2 ** 63), 2 ** 63],
  },
  { type: "u64", typed: { uint64_data: [0, long(2n ** 64n - 1n)] }, raw: "0000000000000000ffffffffffffffff", values: [0, 2 ** 64] },
  { type: "bool", typed: { int32_data: [1, 0, 1] }, raw: "010001", values: [1, 0, 1] },
  { type: "i4", typed: { int32_data: [120, 15] }, raw: "780f", values: [-8, 7, -1] },
  { type: "u4", typed: { int32_data: [240, 9] }, raw: "f009", values: [0, 15, 9] },
  { type: "i2", typed: { int32_data: [54, 1] }, raw: "3601", values: [-2, 1, -1, 0, 1] },
  { type: "u2", typed: { int32_data: [99, 3] }, raw: "6303", values: [3, 0, 2, 1, 3] },
  { type: "c64", typed: { float_data: [1, 2, 0, -3.5] }, raw: "0000803f0000004000000000000060c0", values: [1, 2, 0, -3.5] },
];

const dimsOf = (s: Sample): number[] => [s.type === "c64" ? s.values.length / 2 : s.values.length];

it.each(samples.map((s) => [s.type, s] as const))("reads %s from its own field and from raw bytes, and writes those bytes", (type, s) => {
  const head = { name: "w", data_type: elementNumbers[type], dims: dimsOf(s) };
  for (const data of [s.typed, { raw_data: hex(s.raw) }]) {
    expect(Array.from(toNumbers(importTensor(tensorCodec.encode({ ...head, ...data }))))).toEqual(s.values);
    const g = importOnnx(
      model(
        { output: [value("y", dimsOf(s), elementNumbers[type])], initializer: [{ ...head, ...data }], node: [node("Identity", ["w"], ["y"])] },
        { opset_import: [{ domain: "", version: 25 }] },
      ),
    );
    expect(Array.from(toNumbers(constantTensor(g.opsOf("identity")[0]?.inputs[0])!))).toEqual(s.values);
    const [written] = modelCodec.decode(exportOnnx(g, { opset: 25 }).bytes).graph?.initializer ?? [];
    expect([written?.data_type, Buffer.from(written?.raw_data ?? []).toString("hex")]).toEqual([elementNumbers[type], s.raw]);
  }
});

it.each(samples.map((s) => [s.type, s] as const))("refuses %s with a value too many or too few, in its own field and in raw bytes", (type, s) => {
  const head = { name: "w", data_type: elementNumbers[type], dims: dimsOf(s) };
  const [field, values] = Object.entries(s.typed)[0] as [string, number[]];
  const raw = hex(s.raw);
  for (const data of [
    { [field]: [...values, 0] },
    { [field]: values.slice(1) },
    { raw_data: raw.subarray(1) },
    { raw_data: Uint8Array.of(...raw, 0) },
    {},
  ])
    expect(codeOf(() => importTensor(tensorCodec.encode({ ...head, ...data })))).toBe("CEC3003");
});

it("keeps strings to the byte, and refuses those that are no UTF-8", () => {
  const text = ["", "grün", "\uFEFFmark", "日本"];
  const strings = (data: readonly Uint8Array[]): Uint8Array =>
    model({
      output: [value("y", [data.length], 8)],
      initializer: [{ name: "w", data_type: 8, dims: [data.length], string_data: [...data] }],
      node: [node("Identity", ["w"], ["y"])],
    });
  const bytes = text.map((t) => new TextEncoder().encode(t));
  const [written] = modelCodec.decode(exportOnnx(importOnnx(strings(bytes))).bytes).graph?.initializer ?? [];
  expect(written?.string_data?.map((b) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(b))).toEqual(text);
  expect(codeOf(() => importOnnx(strings([Uint8Array.of(0xff, 0xfe)])))).toBe("CEC3005");
});

it("refuses element types that it does not know by their number", () => {
  // 27 and 28 are the 6-bit floats of IR version 14.
  for (const type of [0, 27, 28, 99, -1])
    expect(codeOf(() => importTensor(tensorCodec.encode({ name: "w", data_type: type, dims: [1], raw_data: new Uint8Array(4) })))).toBe("CEC3005");
});
