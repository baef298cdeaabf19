/** The facts of the format that stand in the source, against what the onnx package says of itself. */
import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { type ElementType, elementNumbers, elementTypes, opTypes } from "../../../compiler/core/index.js";
import { formChanges, formOf7Since, irVersionOf, leastOpset, NEWEST_OPSET, OLDEST_EXPORT } from "../../../compiler/core/onnx/opsets.js";
import { schemaMessages } from "../../../compiler/core/onnx/schema.js";
import { findPython, script } from "./cases.js";

interface Description {
  readonly elements: Readonly<Record<string, number>>;
  readonly messages: Readonly<Record<string, Readonly<Record<string, readonly [number: number, type: string, repeated: boolean]>>>>;
  /** Operator, operand or result, element type: the opset from which it is taken. */
  readonly types: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, number>>>>>>;
  readonly changes: Readonly<Record<string, readonly number[]>>;
  /** Operator: the opset from which on it is what it is at opset 7. */
  readonly at7: Readonly<Record<string, number>>;
  readonly irVersions: Readonly<Record<string, number>>;
}

const python = findPython();
const suite = python === null ? it.skip : it;
if (python === null) process.stderr.write("SKIPPED: the test of the ONNX schema needs a Python with onnx (CEC_PYTHON, or python3)\n");

function describeOnnx(): Description {
  const r = spawnSync(python as string, [script("describe_onnx.py")], { encoding: "utf8", maxBuffer: 1 << 26 });
  if (r.status !== 0) throw new Error(r.stderr);
  return JSON.parse(r.stdout) as Description;
}
const onnx = python === null ? (null as never) : describeOnnx();

/** Nested messages have names of their own here, and equal ones share one. */
const ourName = (name: string): string =>
  ({
    "TensorProto.Segment": "Segment",
    "TensorShapeProto.Dimension": "Dimension",
    "TypeProto.Tensor": "TensorTypeProto",
    "TypeProto.SparseTensor": "TensorTypeProto",
    "TypeProto.Sequence": "ElemTypeProto",
    "TypeProto.Optional": "ElemTypeProto",
    "TypeProto.Map": "MapTypeProto",
    "TypeProto.Opaque": "OpaqueTypeProto",
  })[name] ?? name;

suite("has every message of the format, each field with its number and type", () => {
  const said = Object.entries(onnx.messages).map(([name, fields]) => [
    ourName(name),
    Object.fromEntries(
      Object.entries(fields).map(([f, [number, type, repeated]]) => [
        f,
        [
          number,
          type === "enum" || type.endsWith("DataType") ? "int32" : ourName(type.replace(/^.*\.(AttributeType|DataLocation)$/, "int32")),
          repeated,
        ],
      ]),
    ),
  ]);
  const ours = (name: string): unknown =>
    Object.fromEntries(Object.entries(schemaMessages[name] ?? {}).map(([f, [number, type, rule]]) => [f, [number, type, rule === "repeated"]]));
  expect(said.length).toBeGreaterThan(25);
  for (const [name, fields] of said) expect([name, ours(name as string)]).toEqual([name, fields]);
  expect(new Set(Object.keys(schemaMessages))).toEqual(new Set(said.map(([name]) => name)));
});

/** ONNX's name of an element type, in lower case. */
const onnxElement = (e: ElementType): string =>
  e
    .replace(/^f(16|32|64)$/, (_, b) => ({ "16": "float16", "32": "float", "64": "double" })[b as "16"])
    .replace(/^bf16$/, "bfloat16")
    .replace(/^i(\d+)$/, "int$1")
    .replace(/^u(\d+)$/, "uint$1")
    .replace(/^c(64|128)$/, "complex$1")
    .replace(/^f([48]e)/, "float$1");

suite("numbers element types as ONNX does", () => {
  for (const [name, number] of Object.entries(onnx.elements)) {
    const ours = (Object.keys(elementTypes) as ElementType[]).find((e) => elementNumbers[e] === number);
    // The 6-bit floats of IR version 14 are refused by name of their number.
    expect([number, ours === undefined ? null : onnxElement(ours)]).toEqual([number, name.startsWith("FLOAT6") ? null : name.toLowerCase()]);
  }
});

suite("knows from which opset each operator takes each element type", () => {
  let compared = 0;
  for (const [kind, type] of Object.entries(opTypes)) {
    for (const elem of Object.keys(elementTypes) as ElementType[]) {
      // GroupNormalization of opset 18 is another operator: the IR has that of 21.
      const oldest = kind === "group_normalization" ? 21 : OLDEST_EXPORT;
      const opsets = Object.values(onnx.types[type] ?? {})
        .flatMap((by) => by[onnxElement(elem)] ?? [])
        .map((o) => Math.max(o, oldest));
      if (opsets.length === 0) continue;
      compared++;
      // Operands may differ: then the table holds for the one that matters.
      expect(leastOpset(kind, elem), `${kind} of ${elem}`).toBeGreaterThanOrEqual(Math.min(...opsets));
      expect(leastOpset(kind, elem), `${kind} of ${elem}`).toBeLessThanOrEqual(Math.max(...opsets));
    }
  }
  expect(compared).toBeGreaterThan(1000);
});

suite("knows where an operator took another form", () => {
  for (const [type, opsets] of Object.entries(onnx.changes)) expect([type, formChanges[type]]).toEqual([type, expect.arrayContaining([...opsets])]);
});

suite("knows which operators of opsets 1 to 6 are the same at 7", () => {
  for (const [type, since] of Object.entries(onnx.at7)) expect([type, formOf7Since.get(type) ?? 1]).toEqual([type, since]);
  for (const type of formOf7Since.keys()) expect(onnx.at7[type]).toBeDefined();
});

suite("writes the IR version that each opset came with", () => {
  for (let opset = OLDEST_EXPORT; opset <= NEWEST_OPSET; opset++)
    expect([opset, irVersionOf(opset)]).toEqual([opset, onnx.irVersions[String(opset)]]);
  expect(irVersionOf(13, true)).toBe(8);
});
