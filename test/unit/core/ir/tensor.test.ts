import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  blobOf,
  decodeBf16,
  decodeF16,
  type ElementType,
  encodeBf16,
  encodeF16,
  fileBlob,
  fromBytes,
  fromNumbers,
  memoryBlob,
  packBlobs,
  roundHalfEven,
  tensor,
  toBytes,
  toNumbers,
  unpackBlobs,
} from "../../../../compiler/core/index.js";

// Reference values: IEEE 754-2019 tables for binary16, and "OCP 8-bit Floating Point Specification" 1.0, table 1.
it.each([
  [0x0000, 0],
  [0x3c00, 1],
  [0xc000, -2],
  [0x7bff, 65504],
  [0x0001, 2 ** -24],
  [0x0400, 2 ** -14],
  [0x3555, 0.333251953125],
  [0x7c00, Number.POSITIVE_INFINITY],
])("reads and writes binary16 %i", (bits, value) => {
  expect(decodeF16(bits)).toBe(value);
  expect(encodeF16(value)).toBe(bits);
});

it("writes every binary16 back as it was, and rounds ties to even", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const v = decodeF16(bits);
    if (!Number.isNaN(v)) expect(encodeF16(v)).toBe(bits);
  }
  expect(encodeF16(1 + 2 ** -11)).toBe(0x3c00);
  expect(encodeF16(1 + 3 * 2 ** -11)).toBe(0x3c02);
  expect(encodeF16(65519.99)).toBe(0x7bff);
  expect(encodeF16(65520)).toBe(0x7c00);
  expect(encodeF16(2 ** -25)).toBe(0);
  expect(Number.isNaN(decodeF16(encodeF16(Number.NaN)))).toBe(true);
});

it("rounds bfloat16 to nearest even, and keeps every one", () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const v = decodeBf16(bits);
    if (!Number.isNaN(v)) expect(encodeBf16(v)).toBe(bits);
  }
  expect(encodeBf16(1 + 2 ** -8)).toBe(0x3f80);
  expect(encodeBf16(1 + 3 * 2 ** -8)).toBe(0x3f82);
  expect(encodeBf16(3.4e38)).toBe(0x7f80);
});

it.each<[ElementType, number, number]>([
  ["f8e4m3fn", 0x7e, 448],
  ["f8e4m3fn", 0x08, 2 ** -6],
  ["f8e4m3fn", 0x01, 2 ** -9],
  ["f8e5m2", 0x7b, 57344],
  ["f8e5m2", 0x01, 2 ** -16],
  ["f8e5m2", 0x7c, Number.POSITIVE_INFINITY],
  ["f8e4m3fnuz", 0x7f, 240],
  ["f8e5m2fnuz", 0x7f, 57344],
  ["f4e2m1", 0x7, 6],
  ["f8e8m0", 0x80, 2],
])("reads %s 0x%x as %f", (type, bits, value) => {
  const t = type === "f4e2m1" ? tensor(type, [1], [bits]) : fromBytes(type, [1], Uint8Array.of(bits));
  expect(toNumbers(t)[0]).toBe(value);
  if (Number.isFinite(value)) expect(Number(fromNumbers(type, [1], [value]).data[0])).toBe(bits);
});

it.each<[ElementType, number]>([
  ["f8e4m3fn", 448],
  ["f8e5m2", 57344],
  ["f8e4m3fnuz", 240],
  ["f4e2m1", 6],
])("saturates %s at its greatest value", (type, top) => {
  expect(toNumbers(fromNumbers(type, [2], [1e6, -1e6]))).toEqual(Float64Array.of(top, -top));
});

it("packs 4- and 2-bit integers low bits first, as ONNX does", () => {
  expect(toBytes(tensor("i4", [3], [-8, 7, -1]))).toEqual(Uint8Array.of(0x78, 0x0f));
  expect(toBytes(tensor("u2", [5], [0, 1, 2, 3, 1]))).toEqual(Uint8Array.of(0b11100100, 0b01));
  expect(toNumbers(fromBytes("i4", [3], Uint8Array.of(0x78, 0x0f)))).toEqual(Float64Array.of(-8, 7, -1));
  expect(toNumbers(fromBytes("i2", [4], Uint8Array.of(0b11100100)))).toEqual(Float64Array.of(0, 1, -2, -1));
});

it("reads bytes that are not aligned, and refuses a wrong number of them", () => {
  const bytes = new Uint8Array(9);
  bytes.set(new Uint8Array(new Float32Array([1.5, -2]).buffer), 1);
  expect(Array.from(fromBytes("f32", [2], bytes.subarray(1)).data as Float32Array)).toEqual([1.5, -2]);
  expect(() => fromBytes("f32", [3], bytes.subarray(1))).toThrow(/takes 12 bytes, there are 8/);
});

it("rounds halves to even", () => {
  expect([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2.4999999, 2.5000001].map(roundHalfEven)).toEqual([-2, -2, 0, 0, 2, 2, 2, 3]);
});

it("reads blobs of files on demand, by range, with the hash of that range", () => {
  const folder = mkdtempSync(join(tmpdir(), "cec-blob-"));
  try {
    const path = join(folder, "data.bin");
    const data = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
    writeFileSync(path, data);
    const blob = fileBlob(path, 100, 300);
    expect(blob.bytes()).toEqual(data.slice(100, 400));
    expect(blob.hash()).toBe(createHash("sha256").update(data.slice(100, 400)).digest("hex"));
    expect(() => fileBlob(path, 900, 101).bytes()).toThrow(/CEC3009: .*ends at byte 1000, a tensor reaches to byte 1001/);
    expect(Buffer.concat([...blob.chunks()].map((c) => c.slice()))).toEqual(Buffer.from(data.slice(100, 400)));
    expect(() => fileBlob(join(folder, "gone.bin"), 0, 1).bytes()).toThrow(/CEC3009: .*ENOENT/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it("packs blobs into one file and finds them again; damage is noticed", () => {
  const blobs = [Uint8Array.of(), Uint8Array.of(10, 13, 0), new Uint8Array(300)].map(memoryBlob);
  const packed = packBlobs(new Map(blobs.map((b) => [b.hash(), b])));
  const find = unpackBlobs(packed, "x.blobs");
  for (const b of blobs) expect(find(b.hash())?.bytes()).toEqual(b.bytes());
  expect(find("0".repeat(64))).toBeUndefined();
  const damaged = packed.slice();
  damaged[damaged.length - 1]! ^= 1;
  expect(() => unpackBlobs(damaged, "x.blobs")(blobs[2]!.hash())).toThrow(/CEC4010: x.blobs .*damaged/);
  expect(() => unpackBlobs(packed.subarray(0, -1), "x.blobs")).toThrow(/CEC4010/);
  for (const text of ["", "\n", "{}\n", '[["a",1]]\n', '[["' + "0".repeat(64) + '",-1]]\n']) {
    expect(() => unpackBlobs(new TextEncoder().encode(text), "x.blobs")).toThrow(/CEC4010/);
  }
});

it("hashes a constant by its bytes", () => {
  expect(blobOf(tensor("f32", [1], [1])).hash()).toBe(
    createHash("sha256")
      .update(Uint8Array.of(0, 0, 0x80, 0x3f))
      .digest("hex"),
  );
});

it("rounds every number between two binary16 neighbours to the nearer one", () => {
  for (let bits = 0; bits < 0x7bff; bits += 7) {
    const [a, b] = [decodeF16(bits), decodeF16(bits + 1)];
    expect(encodeF16(a + (b - a) * 0.499)).toBe(bits);
    expect(encodeF16(a + (b - a) * 0.501)).toBe(bits + 1);
    expect(encodeF16((a + b) / 2)).toBe(bits % 2 === 0 ? bits : bits + 1);
    expect(encodeF16(-(a + b) / 2)).toBe(0x8000 | (bits % 2 === 0 ? bits : bits + 1));
  }
});

// ONNX, "Casting from and to float 8", saturate=1; the 4-bit column as in ml_dtypes 0.5.
it.each<[ElementType, number, number, number]>([
  ["f8e4m3fn", 0x7e, 0xfe, 0x7f],
  ["f8e4m3fnuz", 0x80, 0x80, 0x80],
  ["f8e5m2", 0x7b, 0xfb, 0x7f],
  ["f8e5m2fnuz", 0x80, 0x80, 0x80],
  ["f4e2m1", 7, 15, 8],
])("writes infinities and NaN in %s as ONNX saturates them", (type, plus, minus, nan) => {
  const t = fromNumbers(type, [3], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]);
  if (type === "f8e5m2") expect(Number.isNaN(toNumbers(t)[2])).toBe(true);
  else expect(Array.from(t.data as Uint8Array)).toEqual([plus, minus, nan]);
  expect(toNumbers(fromNumbers(type, [2], [1e30, -1e30]))).toEqual(Float64Array.of(largest(type), -largest(type)));
});
const largest = (type: ElementType): number => ({ f8e4m3fn: 448, f8e4m3fnuz: 240, f8e5m2: 57344, f8e5m2fnuz: 57344, f4e2m1: 6 })[type as "f4e2m1"];

it("ends numbers at the limits of 64-bit integers, and takes NaN for 0", () => {
  const [least, most] = [-(2n ** 63n), 2n ** 63n - 1n];
  // The number 2^63 is what 2^63 - 1 becomes on its way through JavaScript.
  expect(tensor("i64", [2], [2 ** 63, -(2 ** 63)]).data).toEqual(BigInt64Array.of(most, least));
  expect(fromNumbers("i64", [5], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1.5, -2.7]).data).toEqual(
    BigInt64Array.of(0n, most, least, 1n, -2n),
  );
  expect(fromNumbers("u64", [2], [2 ** 64, 3]).data).toEqual(BigUint64Array.of(2n ** 64n - 1n, 3n));
  expect(fromNumbers("i64", [1], toNumbers(tensor("i64", [1], [most]))).data).toEqual(BigInt64Array.of(most));
});
