import { expect, it } from "vitest";
import { buildGraph, f32, formatType, graphBuilder, i64, parseType, verifyGraph } from "../../../../compiler/core/index.js";

it("infers types as ops are added", () => {
  const g = buildGraph("g", (b) => {
    const x = b.input("x", "f32[N, 4]");
    const w = b.constant("w", f32([4, 2], [1, 2, 3, 4, 5, 6, 7, 8]));
    b.output("y", b.value("matmul", [x, w], {}, "mm"));
  });
  expect(formatType(g.value("mm")!.type)).toBe("f32[N, 2]");
  expect(verifyGraph(g)).toEqual([]);
});

it("takes several results, declared types and annotations", () => {
  const b = graphBuilder("g");
  const x = b.input("x", "f32", [4, 2]);
  const op = b.op("split", [x, b.constant("sizes", i64([1, 3]))], { axis: 0 }, { outputs: 2, name: "s", annotations: { note: 1 } });
  expect(op.outputs.map((v) => formatType(v.type))).toEqual(["f32[1, 2]", "f32[3, 2]"]);
  expect(op.annotations).toEqual({ note: 1 });
  const other = b.op("custom", [x], {}, { types: [parseType("u8[2]"), parseType("unknown")] });
  expect(other.outputs.map((v) => formatType(v.type))).toEqual(["u8[2]", "unknown"]);
});

it("rejects operands that do not fit, with the names of node and tensors", () => {
  expect(() =>
    buildGraph("g", (b) => {
      b.value("matmul", [b.input("x", "f32[2, 3]"), b.input("z", "f32[5, 4]")], {}, "bad");
    }),
  ).toThrow(/CEC4001: matmul "bad".*%x: f32\[2, 3\], %z: f32\[5, 4\]/);
});
