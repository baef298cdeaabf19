import { expect, it } from "vitest";
import { buildGraph, Graph, randomFrom, tensorType, UNKNOWN, type Value, verifyGraph } from "../../../../compiler/core/index.js";
import { randomGraph } from "../../../property/random-graph.js";
import { plain } from "./plain.js";

const t = tensorType("f32", [2]);
const diamond = (): Graph =>
  buildGraph("g", (b) => {
    const x = b.input("x", t);
    const a = b.value("neg", [x], {}, "a");
    b.output("y", b.value("add", [a, b.value("abs", [a], {}, "b")], {}, "c"));
  });

it("copies everything, and shares nothing that can change", () => {
  for (let seed = 0; seed < 100; seed++) {
    const g = randomGraph(seed);
    const copy = g.clone();
    expect(plain(copy), `seed ${seed}`).toEqual(plain(g));
  }
  const g = diamond();
  const copy = g.clone();
  copy.rename(copy.value("a")!, "other");
  copy.opsOf("neg")[0]!.name = "other";
  copy.setInput(copy.opsOf("add")[0]!, 1, copy.inputs[0]!);
  expect(plain(g)).toEqual(plain(diamond()));
});

it("knows who reads a value, also when one op reads it twice", () => {
  const g = diamond();
  const [a, add] = [g.value("a")!, g.opsOf("add")[0]!];
  expect(g.users(a).map((op) => op.kind)).toEqual(["abs", "add"]);
  expect(g.onlyUser(a)).toBeNull();
  expect(g.onlyUser(g.value("b")!)).toBe(add);
  g.setInput(add, 1, a);
  expect(g.users(g.value("b")!)).toEqual([]);
  g.removeOp(g.opsOf("abs")[0]!);
  // One op, two reads: replacing one operand would not do.
  expect(g.onlyUser(a)).toBeNull();
  g.setInput(add, 0, g.inputs[0]!);
  expect(g.onlyUser(a)).toBe(add);
  expect(verifyGraph(g)).toEqual([]);
});

it("refuses to remove an op whose result is read", () => {
  const g = diamond();
  expect(() => g.removeOp(g.opsOf("neg")[0]!)).toThrow(/%a is still read/);
  expect(() => g.removeOp(g.opsOf("add")[0]!)).toThrow(/%c is still read/);
});

it("gives each value a name of its own, and hands names over", () => {
  const g = new Graph("g");
  const names = [g.addInput("x", t), g.addInput("x", t), g.addInput("", t), g.addInput("x", t)].map((v) => v.name);
  expect(new Set(names).size).toBe(4);
  expect(names[0]).toBe("x");
  const [first, second] = g.inputs as [Value, Value];
  g.rename(second, "x");
  expect([second.name, g.value("x") === second, g.value(first.name) === first]).toEqual(["x", true, true]);
  expect(first.name).not.toBe("x");
});

it("sorts topologically and stably, as little as needed", () => {
  for (let seed = 0; seed < 50; seed++) {
    const random = randomFrom(seed);
    const g = new Graph("g");
    const values: Value[] = [g.addInput("x", t)];
    for (let i = 0; i < 40; i++) {
      const pick = (): Value => values[Math.floor(random() * values.length)] as Value;
      values.push(g.addOp({ kind: "add", inputs: [pick(), pick()], types: [t], name: `n${i}` }).outputs[0]!);
    }
    const before = g.ops.map((op) => op.name);
    expect(g.sort()).toEqual([]);
    // What stands in order already is left alone.
    expect(g.ops.map((op) => op.name)).toEqual(before);
    for (let i = 0; i < 30; i++) g.moveBefore(g.ops[Math.floor(random() * 40)]!, g.ops[0]!);
    expect(g.sort()).toEqual([]);
    const at = new Map(g.ops.map((op, i) => [op, i]));
    for (const op of g.ops) for (const v of op.inputs) if (v?.producer != null) expect(at.get(v.producer)).toBeLessThan(at.get(op)!);
    expect(g.ops).toHaveLength(40);
  }
});

it("names the ops on a cycle and leaves the graph as it is", () => {
  const g = diamond();
  g.setInput(g.opsOf("neg")[0]!, 0, g.value("c")!);
  expect(g.sort().map((op) => op.kind)).toEqual(["neg", "abs", "add"]);
  expect(g.ops).toHaveLength(3);
});

it("makes graph outputs read the replacement under the name that users see", () => {
  const g = diamond();
  const op = g.addOp({ kind: "relu", inputs: [g.inputs[0]!], types: [UNKNOWN] });
  g.replaceAllUses(g.value("c")!, op.outputs[0]!);
  expect(g.outputs.map((o) => [o.name, o.value === op.outputs[0]])).toEqual([["y", true]]);
});
