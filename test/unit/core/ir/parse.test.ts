import { expect, it } from "vitest";
import { CecError, constantTensor, formatType, parseGraph, parseIrFile, parsePasses, parseType, toNumbers } from "../../../../compiler/core/index.js";

const graph = (body: string): string => `cir 1\ngraph @g level=float {\n${body}\n}\n`;

function fault(text: string): string {
  try {
    parseGraph(text, { file: "t.cir" });
  } catch (e) {
    expect(e).toBeInstanceOf(CecError);
    const first = (e as CecError).diagnostics[0]!;
    if (first.code !== "CEC4002") return first.code;
    expect(first.span?.file).toBe("t.cir");
    return `${first.span?.start.line}:${first.span?.start.column} ${first.message}`;
  }
  return "no fault";
}

it.each([
  ["cir 2", /^1:5 .*version 2/],
  ["", /^1:1 .*expected `cir`, found the end/],
  [graph("  in %x : f99[1]"), /^3:11 .*no element type `f99`/],
  [graph("  in %x : f32[-1]"), /^3:15 .*dimension/],
  [graph("  in %x : f32[99999999999999999999]"), /^3:15 .*dimension/],
  [graph("  in %x : f32[1]\n  in %x : f32[1]"), /^4:6 .*%x is defined twice/],
  [graph("  %y = relu %x"), /^3:13 .*%x is not defined above/],
  [graph("  %y = a %y"), /^3:10 .*%y is not defined above/],
  [graph("  %y, %y = a"), /^3:7 .*defined twice/],
  [graph("  %y = a {k=1, k=2}"), /^3:16 .*`k` is given twice/],
  [graph("  %y = a {k={a: 1}}"), /^3:13 .*an attribute is/],
  [graph('  %y = a {k=[1, "x"]}'), /^3:13 .*an attribute is/],
  [graph('  %y = a @"open'), /^3:10 .*string that does not end/],
  [graph('  %y = a doc "\\q"'), /^3:14 .*malformed string/],
  [graph("  %y = a : f32[1], f32[1]"), /^3:10 .*2 types for 1 results/],
  [graph("  const %c : f32[N] = splat(1)"), /^3:14 .*all sizes must be known/],
  [graph("  const %c : f32[3] = dense [1, 2]"), /^3:23 .*2 values do not fit f32\[3\]/],
  [graph("  const %c : u8[1] = dense [256]"), /^3:22 .*do not fit u8/],
  [graph("  const %c : i64[1] = dense [9223372036854775808]"), /do not fit i64/],
  [graph("  const %c : f32[99999, 99999, 9] = splat(0)"), /^3:14 .*written elements/],
  [graph("  const %c : f32[9999999, 9999999, 9999999] = splat(0)"), /^3:14 .*too large/],
  [graph("  const %c : f32[1] = any"), /^3:23 .*only in expectations/],
  [graph("  const %c : f32[1] = blob sha256:12"), /^3:28 .*64 hex digits/],
  [graph(`  const %c : f32[1] = blob sha256:${"0".repeat(64)}`), /^CEC4010$/],
  [graph("  meta {color=1}"), /`color` is no fact of a model/],
  [graph('  meta {opsets={a: "x"}}'), /`opsets` is no fact/],
  [graph("  in %x : f32[1] q(scale=1)"), /expected `,`/],
  [graph("  %y = a {k=1e}"), /no number/],
  [graph("  $"), /^3:3 .*the character "\$"/],
  ["cir 1\ngraph @g level=big {}", /^2:16 .*no level `big`/],
  ["cir 1\ngraph @g level=float {} x", /^2:25 .*expected the end/],
  ["cir 1\ngraph @g level=float {", /the end of the text/],
])("names line, column and cause: %j", (text, message) => {
  expect(fault(text)).toMatch(message);
});

it("refuses nesting that would exhaust the stack", () => {
  const deep = (open: string, close: string, n: number): string => open.repeat(n) + close.repeat(n);
  expect(fault(graph(`  a ann {k: ${deep("[", "]", 100_000)}}`))).toMatch(/nest more than 64 deep/);
  const region = "a regions { graph @g level=float { ";
  expect(fault(graph(region.repeat(5000)))).toMatch(/nest more than 64 deep/);
  const inConstant = "const %c : f32[0] = dense [] regions { graph @g level=float { ";
  expect(fault(graph(inConstant.repeat(5000)))).toMatch(/nest more than 64 deep/);
});

it("reads a long line in time that grows with its length", () => {
  const g = parseGraph(graph(`  in %x : f32[1]\n  a %x ann {k: [${"1, ".repeat(100_000)}1]} doc "${"\\\\".repeat(100_000)}"`));
  expect((g.ops[0]!.annotations["k"] as number[]).length).toBe(100_001);
});

it("does not take the results of the next line for operands", () => {
  const g = parseGraph(graph("  a\n  %y = b\n  c %y"));
  expect(g.ops.map((op) => [op.kind, op.inputs.length])).toEqual([
    ["a", 0],
    ["b", 0],
    ["c", 1],
  ]);
});

it("makes written constants the same on every machine", () => {
  const g = parseGraph(
    graph(`  const %a : f32[2, 2] = splat(0.5)
  const %b : i64[4] = iota(3, -2)
  const %c : f32[3] = random(7)
  const %d : i8[100] = random(7, -3, 3)
  const %e : bool[2] = dense [true, false]
  const %f : f16[2] = dense [0.1, -inf]`),
  );
  const values = (name: string): number[] => Array.from(toNumbers(constantTensor(g.value(name))!));
  expect(values("a")).toEqual([0.5, 0.5, 0.5, 0.5]);
  expect(values("b")).toEqual([3, 1, -1, -3]);
  expect(values("c")).toEqual(values("c"));
  expect(values("c").every((v) => v >= -1 && v < 1)).toBe(true);
  expect(new Set(values("d"))).toEqual(new Set([-3, -2, -1, 0, 1, 2, 3]));
  expect(values("e")).toEqual([1, 0]);
  // 0.1 in binary16 is 0x2e66.
  expect(values("f")).toEqual([0x666 / 1024 / 16, Number.NEGATIVE_INFINITY]);
});

it("infers types that the text leaves out", () => {
  const g = parseGraph(graph("  in %x : f32[N, 3]\n  const %s : i64[2] = dense [-1, 1]\n  %y = relu %x\n  %z = reshape %y, %s\n  out %z"), {
    infer: true,
  });
  expect(formatType(g.value("y")!.type)).toBe("f32[N, 3]");
  expect(g.value("z")!.type).toMatchObject({ kind: "tensor", elem: "f32" });
});

it("reads passes and header lines of reproducers", () => {
  const file = parseIrFile(
    `cir 1\n// pipeline: import,fold-batch-norm\n// RUN: dead-code; quantize {scheme: "int8", keep: ["fc"], n: 1e-3}\n// seed: 7\ngraph @g level=float {}`,
  );
  expect(file.graph.pipeline).toEqual(["import", "fold-batch-norm"]);
  expect(file.run).toEqual([
    { name: "dead-code", options: {} },
    { name: "quantize", options: { scheme: "int8", keep: ["fc"], n: 1e-3 } },
  ]);
  expect(file.header.find((h) => h.key === "seed")?.value).toBe("7");
  expect(() => parsePasses("a {b: }")).toThrow(/expected a value/);
});

it.each([
  "f32[N, 3]",
  "f32[*]",
  "f32[]",
  "unknown",
  "opaque<CgQIAQ==>",
  'i8["a b", ?] q(scale=0.5, zp=-1)',
  "u4[2, 3] q(scale=[1, 2, 3], zp=[0, 1, 15], axis=1)",
])("reads back the type %s", (text) => {
  expect(formatType(parseType(text))).toBe(text);
});
