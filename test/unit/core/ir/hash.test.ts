import { expect, it } from "vitest";
import { hashGraph, parseGraph } from "../../../../compiler/core/index.js";

const hash = (text: string): string => hashGraph(parseGraph(`cir 1\n${text}`));
const base = `graph @g level=float {
  in %x : f32[2]
  const %c : f32[2] = dense [1, 2]
  %a = relu %x {k=1} : f32[2]
  %b = add %a, %c : f32[2]
  out "y" = %b
}`;

it("does not see names of values, of the graph, or the order of independent ops", () => {
  const other = `graph @other level=float {
  in %x : f32[2]
  %q = relu %x {k=1} : f32[2]
  const %w : f32[2] = dense [1, 2]
  %z = add %q, %w : f32[2]
  out "y" = %z
}`;
  expect(hash(other)).toBe(hash(base));
});

it.each([
  ["an attribute", base.replace("k=1", "k=2")],
  ["the text of an attribute for its number", base.replace("k=1", 'k="1"')],
  ["a type", base.replace("%a = relu %x {k=1} : f32[2]", "%a = relu %x {k=1} : f32[N]")],
  ["a constant's bytes", base.replace("dense [1, 2]", "dense [1, 3]")],
  ["a kind", base.replace("relu", "abs")],
  ["the order of operands", base.replace("add %a, %c", "add %c, %a")],
  ["an annotation", base.replace("{k=1} : f32[2]", "{k=1} : f32[2] ann {quant: 1}")],
  ["the level", base.replace("level=float", "level=annotated")],
  ["the name of an output", base.replace('"y"', '"z"')],
  ["the name of an input", base.replaceAll("%x", "%xx")],
  ["a dead op", base.replace("  out", "  %dead = abs %x : f32[2]\n  out")],
  ["an op made twice", base.replace("add %a, %c", "add %a, %a2").replace("  %b", "  %a2 = relu %x {k=1} : f32[2]\n  %b")],
])("sees %s", (_, text) => {
  expect(hash(text)).not.toBe(hash(base));
});

it("sees whether a result is shared or made twice, though both compute the same", () => {
  const one = "graph @g level=float { in %x : f32[2]\n %a = relu %x : f32[2]\n %b = add %a, %a : f32[2]\n out %b }";
  const two = "graph @g level=float { in %x : f32[2]\n %a = relu %x : f32[2]\n %c = relu %x : f32[2]\n %b = add %a, %c : f32[2]\n out %b }";
  expect(hash(one)).not.toBe(hash(two));
});

it("sees op names only where asked", () => {
  const [a, b] = [parseGraph(`cir 1\n${base}`), parseGraph(`cir 1\n${base.replace("{k=1} : f32[2]", '{k=1} : f32[2] @"n"')}`)];
  expect(hashGraph(a)).toBe(hashGraph(b));
  expect(hashGraph(a, { names: true })).not.toBe(hashGraph(b, { names: true }));
});
