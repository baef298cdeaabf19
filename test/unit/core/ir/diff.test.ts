import { expect, it } from "vitest";
import { type DiffOptions, diffGraphs, parseGraph } from "../../../../compiler/core/index.js";

const parse = (body: string) => parseGraph(`cir 1\ngraph @g level=float {\n${body}\n}`, { wildcards: true });
const diff = (a: string, b: string, options?: DiffOptions): string[] => diffGraphs(parse(a), parse(b), options).map((d) => d.message);

const base = `
  in %x : f32[2]
  const %c : f32[2] = dense [1, 2]
  %a = relu %x : f32[2] @"r"
  %b = add %a, %c : f32[2] @"s"
  out "y" = %b`;

it("finds nothing between graphs that differ in value names and order only", () => {
  const other = base.replaceAll("%a", "%q").replaceAll("%b", "%a").replace("const %c", "const %k").replace(", %c", ", %k");
  expect(diff(base, other)).toEqual([]);
});

it("tells twins apart by who reads them", () => {
  const a = "in %x : f32[1]\n %p = abs %x\n %q = abs %x\n %r = neg %p\n %s = sign %q\n out %r\n out %s";
  const swapped = "in %x : f32[1]\n %q = abs %x\n %p = abs %x\n %r = neg %p\n %s = sign %q\n out %r\n out %s";
  const shared = "in %x : f32[1]\n %q = abs %x\n %p = abs %x\n %r = neg %q\n %s = sign %q\n out %r\n out %s";
  expect(diff(a, swapped)).toEqual([]);
  expect(diff(a, shared)).not.toEqual([]);
});

it.each([
  ["an attribute", base.replace("relu %x", "relu %x {k=[1,2]}"), ['~ relu "r": attribute k: absent → [1,2]']],
  ["a constant", base.replace("[1, 2]", "[1, 2.5]"), ['~ constant "c": 1 of 2 elements differ, most at [1]: 2 → 2.5']],
  ["a name", base.replace('@"r"', '@"t"'), ['~ relu "r": name "r" → "t"']],
  ["an operand", base.replace("add %a, %c", "add %x, %c"), ['~ add "s": operand 0: %a → %x']],
  ["a type", base.replace("%a = relu %x : f32[2]", "%a = relu %x : f32[N]"), ['~ relu "r": type f32[2] → f32[N]']],
  ["an output", base.replace('"y"', '"z"'), ['~ output 0: "y" → "z"']],
  ["what an output reads", base.replace('"y" = %b', '"y" = %a'), ['~ output "y": reads %b → %a']],
  [
    "an op more",
    base.replace("  %b", '  %m = neg %a : f32[2] @"n"\n  %b').replace("add %a", "add %m"),
    ['~ add "s": operand 0: %a → %m', '+ neg "n" (%a) : f32[2]'],
  ],
  ["a dead op more", base.replace("  out", '  %m = neg %a : f32[2] @"n"\n  out'), ['+ neg "n" (%a) : f32[2]']],
  ["an annotation", base.replace('@"r"', '@"r" ann {q: 1}'), ['~ relu "r": annotations {} → {q: 1}']],
  ["an input", base.replace("in %x : f32[2]", "in %x : f32[3]"), ['~ input "x": f32[2] → f32[3]']],
])("reports %s", (_, other, expected) => {
  expect(diff(base, other)).toEqual(expected);
});

it("reports what went, where the first graph has more", () => {
  const more = base.replace("  %b", '  %m = neg %a : f32[2] @"n"\n  %b').replace("add %a", "add %m");
  expect(diff(more, base)).toContain('- neg "n" (%a) : f32[2]');
});

it("allows float constants a tolerance, and any bytes where the expectation says so", () => {
  const near = base.replace("[1, 2]", "[1.0000001, 2]");
  expect(diff(base, near)).not.toEqual([]);
  expect(diff(base, near, { tolerance: 1e-6 })).toEqual([]);
  expect(diff(base, base.replace("dense [1, 2]", "any"))).toEqual([]);
  expect(diff(base, base.replace("dense [1, 2]", "dense [nan, 2]"), { tolerance: 1e-6 })).not.toEqual([]);
});

it("looks into regions", () => {
  const region = (kind: string): string =>
    `in %x : f32[1]\n %y = if %x : f32[1] regions { graph @t level=float { in %p : f32[1]\n %q = ${kind} %p : f32[1]\n out %q } }\n out %y`;
  expect(diff(region("abs"), region("abs"))).toEqual([]);
  expect(diff(region("abs"), region("neg")).join()).toContain('region 0: - abs "q"');
});
