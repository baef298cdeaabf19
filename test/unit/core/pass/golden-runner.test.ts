import { expect, it } from "vitest";
import type { PassDefinition } from "../../../../compiler/core/index.js";
import { readCases, runCase } from "../../../golden/passes/runner.js";
import { annotate, mergeRelu, throws } from "./passes.js";

const registry = new Map<string, PassDefinition>([mergeRelu, annotate, throws].map((p) => [p.name, p as unknown as PassDefinition]));

const source = `cir 1
graph @g level=float {
  in    %x : f32[2]
  const %c : f32[2] = dense [0.1, 2]
  %a = relu %x @"a"
  %b = relu %a @"b"
  %s = add %b, %c @"s"
  out   "y" = %s
}`;
const merged = `cir 1
graph @g level=float {
  in    %x : f32[2]
  const %k : f32[2] = dense [0.10000001, 2]
  %q = relu %x @"a"
  %r = add %q, %k @"s"
  out   "y" = %r
}`;
const run = async (text: string): Promise<string[]> => [...(await runCase(readCases("t", text)[0]!, registry)).faults];

it("compares structure: value names and the last digits of floats do not matter", async () => {
  expect(await run(`// RUN: merge-relu\n// DECISION: a: left: its operand is no relu\n${source}\n// CHECK\n${merged}\n`)).toEqual([]);
  expect(await run(`// RUN: merge_relu\n${source}\n// CHECK\n${merged.replace("dense [0.10000001, 2]", "any")}\n`)).toEqual([]);
});

it.each([
  ["another constant", `// CHECK\n${merged.replace("0.10000001", "0.11")}`, /constant/],
  ["an op too many", `// CHECK\n${source}`, /\+ relu/],
  ["a change where none is expected", "// CHECK-SAME", /relu/],
  ["success where an error is expected", "// CHECK-ERROR: CEC4006", /expected CEC4006, but the passes succeeded/],
  ["no CHECK section", "", /no CHECK section/],
  ["a CHECK section that does not parse", "// CHECK\ncir 1\ngraph {", /cannot be read/],
])("finds %s", async (_, check, message) => {
  expect((await run(`// RUN: merge-relu\n${source}\n${check}`)).join("\n")).toMatch(message);
});

it("finds a decision that was not made", async () => {
  expect((await run(`// RUN: merge-relu\n// DECISION: b: left\n${source}\n// CHECK\n${merged}`)).join()).toMatch(/no decision says "b: left"/);
});

it("expects errors by code and text", async () => {
  expect(await run(`// RUN: throws {how: "so"}\n${source}\n// CHECK-ERROR: CEC9001 broken so`)).toEqual([]);
  expect((await run(`// RUN: throws {how: "so"}\n${source}\n// CHECK-ERROR: CEC9001 other`)).join()).toMatch(/does not say "other"/);
  expect((await run(`// RUN: throws\n${source}\n// CHECK-SAME`)).join()).toMatch(/failed with CEC9001/);
});

it("splits cases, which take the RUN line above", () => {
  const text = `// RUN: merge-relu\n\n${source}\n// CHECK-SAME\n\n// -----\n\n// Second one.\n${source}\n// CHECK-SAME\n\n// -----\n// RUN: annotate {bits: 4}\n${source}\n// CHECK-SAME\n`;
  expect(readCases("f", text).map((c) => [c.name, c.run, c.expected?.kind])).toEqual([
    ["f #1", "merge-relu", "same"],
    ["f #2 Second one.", "merge-relu", "same"],
    ["f #3", "annotate {bits: 4}", "same"],
  ]);
});

it("writes a CHECK section that then holds", async () => {
  const text = `// RUN: merge-relu; annotate {bits: 4}\n// What it is about.\n${source}\n`;
  const first = await runCase(readCases("f", text)[0]!, registry);
  expect(first.rewritten).toContain("// What it is about.");
  expect(first.rewritten).toContain("quant: {bits: 4}");
  expect(first.rewritten).toContain("dense [0.1, 2]");
  expect(await run(first.rewritten)).toEqual([]);
  const same = await runCase(readCases("f", `// RUN: merge-relu\n${merged}\n`)[0]!, registry);
  expect(same.rewritten).toMatch(/\/\/ CHECK-SAME$/);
});
