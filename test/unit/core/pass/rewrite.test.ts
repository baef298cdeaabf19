import { expect, it } from "vitest";
import { buildGraph, createRewriter, type Graph, type PatchRecord, verifyGraph } from "../../../../compiler/core/index.js";

const rewriterOf = (g: Graph): { records: PatchRecord[]; rewrite: ReturnType<typeof createRewriter> } => {
  const records: PatchRecord[] = [];
  return { records, rewrite: createRewriter(g, { pass: "test", next: () => records.length + 1, done: (r) => void records.push(r) }) };
};

it("gives the replacement the name of what it replaces, and removes what died upwards", () => {
  const g = buildGraph("g", (b) => {
    const x = b.input("x", "f32[4]");
    b.output("y", b.value("relu", [b.value("neg", [b.value("neg", [x], {}, "n1")], {}, "n2")], {}, "r"));
  });
  const { records, rewrite } = rewriterOf(g);
  const relu = g.opsOf("relu")[0]!;
  rewrite.patch(relu, "neg of neg", (edit) => {
    const made = edit.insert("relu", [g.inputs[0]!], { name: "r" });
    edit.replaceAllUses(relu.outputs[0]!, made.outputs[0]!);
    edit.eraseDead(relu);
  });
  expect(g.ops.map((op) => [op.kind, op.outputs[0]?.name])).toEqual([["relu", "r"]]);
  expect(records).toEqual([{ number: 1, pass: "test", at: "r", reason: "neg of neg" }]);
  expect(verifyGraph(g)).toEqual([]);
});

it("removes a dead chain as long as a deep model without running out of stack", () => {
  const g = buildGraph("g", (b) => {
    const x = b.input("x", "f32[4]");
    b.output("y", x);
    let v = x;
    for (let i = 0; i < 20_000; i++) v = b.value("neg", [v]);
  });
  const { rewrite } = rewriterOf(g);
  rewrite.remove(g.ops.at(-1)!, "dead");
  expect(g.ops).toEqual([]);
});

it("keeps an operand that others still read", () => {
  const g = buildGraph("g", (b) => {
    const n = b.value("neg", [b.input("x", "f32[4]")], {}, "n");
    b.output("a", b.value("relu", [n], {}, "r"));
    b.output("b", n);
  });
  const { rewrite } = rewriterOf(g);
  rewrite.replace(g.opsOf("relu")[0]!, g.inputs[0]!, "test");
  expect(g.ops.map((op) => op.kind)).toEqual(["neg"]);
  expect(g.outputs.map((o) => o.value.name)).toEqual(["x", "n"]);
});
