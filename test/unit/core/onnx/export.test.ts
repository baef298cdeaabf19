/** What the exporter promises of a file as a whole: names, opsets of what is carried, pieces, limits. */
import { expect, it } from "vitest";
import { exportOnnx, type Graph, importOnnx, parseGraph, tensor, toNumbers } from "../../../../compiler/core/index.js";
import { type GraphProto, type ModelProto, modelCodec } from "../../../../compiler/core/onnx/schema.js";
import { loadOrt, ortSession } from "../../../../compiler/driver/engine/ort.js";
import { codeOf, float, floats, int, int64s, ints, model, node, string, value } from "./support.js";

const x = value("x", ["N", 3]);
const y = value("y", ["N", 3]);
const at = (version: number, more: readonly { domain: string; version: number }[] = []) => ({ opset_import: [{ domain: "", version }, ...more] });
const written = (g: Graph, opset?: number): ModelProto => modelCodec.decode(exportOnnx(g, opset === undefined ? {} : { opset }).bytes);
const defaultOpset = (opsets: ModelProto["opset_import"]): number => Number(opsets?.find((o) => (o.domain ?? "") === "")?.version);

const ort = (await loadOrt()) !== null;
if (!ort) process.stderr.write("SKIPPED: exported files are run in ONNX Runtime, which is not installed\n");
async function results(bytes: Uint8Array): Promise<number[] | null> {
  if (!ort) return null;
  const s = await ortSession(bytes);
  const out = await s.run({ x: tensor("f32", [2, 3], [1, -2, 3, 0, 5, -6]) }).finally(() => s.dispose());
  return Array.from(toNumbers(out["y"]!));
}

it("gives nodes of one name different names, which ONNX Runtime asks for", async () => {
  const twins = model({ input: [x], output: [y], node: [node("Relu", ["x"], ["a"], { name: "n" }), node("Neg", ["a"], ["y"], { name: "n" })] });
  const bytes = exportOnnx(importOnnx(twins)).bytes;
  expect(modelCodec.decode(bytes).graph?.node?.map((n) => n.name)).toEqual(["n", "n_1"]);
  expect(await results(bytes)).toEqual(ort ? [-1, -0, -3, -0, -5, -0] : null);
});

it("numbers thousands of equal names in a time that grows with their number", () => {
  const n = 20_000;
  const chain = Array.from({ length: n }, (_, i) =>
    node("Clip", [i === 0 ? "x" : `v${i}`], [i === n - 1 ? "y" : `v${i + 1}`], { name: "same", attribute: [float("min", 0)] }),
  );
  const names = written(importOnnx(model({ input: [x], output: [y], node: chain }, at(8)))).graph?.node?.map((m) => m.name);
  expect(new Set(names).size).toBe(n);
});

it("does not write constants that became attributes", () => {
  const graph = { input: [x], output: [value("y", ["N", 1])], initializer: [int64s("axes", [1])], node: [node("ReduceMean", ["x", "axes"], ["y"])] };
  const g = importOnnx(model(graph, at(18)));
  expect(written(g, 17).graph?.initializer).toEqual([]);
  expect(written(g, 17).graph?.node?.[0]?.attribute?.map((a) => a.name)).toEqual(["axes"]);
  expect(written(g, 18).graph?.initializer?.map((t) => t.name)).toEqual(["axes"]);
});

it("writes the whole as its pieces in order, and does not copy large weights", () => {
  const weights = floats(
    "w",
    [64, 64],
    Array.from({ length: 4096 }, (_, i) => i),
  );
  const bytes = model({
    input: [value("x", [1, 64])],
    output: [value("y", [64, 64])],
    initializer: [weights],
    node: [node("Add", ["x", "w"], ["y"])],
  });
  const g = importOnnx(bytes);
  const e = exportOnnx(g);
  expect(Buffer.concat(e.pieces)).toEqual(Buffer.from(e.bytes));
  expect(e.byteLength).toBe(e.bytes.length);
  // The weights of the source, the graph and the pieces are one memory.
  expect(e.pieces.some((p) => p.buffer === bytes.buffer && p.length === 4 * 4096)).toBe(true);
  expect(e.pieces.length).toBeLessThan(5);
});

it("keeps the ends of 64-bit ranges in attributes and operands", () => {
  const end = { low: -1, high: 0x7fffffff, unsigned: false } as never as number;
  const shape = { input: [x], output: [value("y", ["r"], 7)], node: [node("Shape", ["x"], ["y"], { attribute: [int("end", end)] })] };
  expect(String(written(importOnnx(model(shape))).graph?.node?.[0]?.attribute?.[0]?.i)).toBe("9223372036854775807");
  const slice = { input: [x], output: [y], node: [node("Slice", ["x"], ["y"], { attribute: [ints("starts", [0]), ints("ends", [end])] })] };
  const ends = written(importOnnx(model(slice, at(9)))).graph?.initializer?.[1];
  expect(Buffer.from(ends?.raw_data ?? []).toString("hex")).toBe("ffffffffffffff7f");
  const listed = node("Constant", [], ["e"], { attribute: [ints("value_ints", [end])] });
  const g = { input: [x], output: [y], initializer: [int64s("b", [0])], node: [listed, node("Slice", ["x", "b", "e"], ["y"])] };
  expect(written(importOnnx(model(g))).graph?.initializer?.map((t) => Buffer.from(t.raw_data ?? []).toString("hex"))).toContain("ffffffffffffff7f");
});

const local = (opset: number, body: GraphProto["node"]) =>
  model(
    { input: [x], output: [y], node: [node("F", ["x"], ["y"], { domain: "l" })] },
    {
      ...at(opset, [{ domain: "l", version: 1 }]),
      functions: [{ name: "F", domain: "l", input: ["a"], output: ["b"], node: body ?? [], opset_import: [{ domain: "", version: opset }] }],
    },
  );

it("writes local functions at the opset of the model, which runtimes resolve them by", async () => {
  const source = local(15, [node("Relu", ["a"], ["h"]), node("Neg", ["h"], ["b"])]);
  const e = exportOnnx(importOnnx(source));
  const m = modelCodec.decode(e.bytes);
  expect([e.opset, defaultOpset(m.functions?.[0]?.opset_import)]).toEqual([17, 17]);
  expect(await results(e.bytes)).toEqual(await results(source));
});

it("does not move a function over an opset at which one of its operators took another form", async () => {
  const mean = (opset: number) =>
    local(opset, [node("ReduceMean", ["a"], ["m"], { attribute: [ints("axes", [1])] }), node("Sub", ["a", "m"], ["b"])]);
  const g = importOnnx(mean(15));
  expect([exportOnnx(g, { opset: 13 }).opset, exportOnnx(g, { opset: 17 }).opset, exportOnnx(g, { opset: 21 }).opset]).toEqual([15, 17, 17]);
  expect(await results(exportOnnx(g, { opset: 21 }).bytes)).toEqual(await results(mean(15)));
  // Squeeze of opset 11 has its axes as an attribute: no opset that cec writes has that.
  const squeezed = local(11, [node("Unsqueeze", ["a"], ["u"], { attribute: [ints("axes", [0])] }), node("Squeeze", ["u"], ["b"])]);
  expect(codeOf(() => exportOnnx(importOnnx(squeezed)))).toBe("CEC3012");
});

it("writes carried operators only at opsets where they mean the same", () => {
  const grid = (mode: string, version: number) =>
    importOnnx(
      model(
        {
          input: [value("x", [1, 1, 4, 4]), value("g", [1, 2, 2, 2])],
          output: [value("y", [1, 1, 2, 2])],
          node: [node("GridSample", ["x", "g"], ["y"], { attribute: [string("mode", mode)] })],
        },
        at(version),
      ),
    );
  expect(exportOnnx(grid("bilinear", 16), { opset: 13 })).toMatchObject({ opset: 16, raised: [expect.stringMatching(/GridSample.*opset 16/)] });
  expect(exportOnnx(grid("bilinear", 16), { opset: 22 })).toMatchObject({
    opset: 19,
    raised: [expect.stringMatching(/another form after opset 19/)],
  });
  expect(exportOnnx(grid("linear", 20), { opset: 17 }).opset).toBe(20);
});

it("says once for many ops what raises the opset", () => {
  const chain = Array.from({ length: 5 }, (_, i) => node("Mish", [i === 0 ? "x" : `v${i}`], [i === 4 ? "y" : `v${i + 1}`]));
  const { opset, raised } = exportOnnx(importOnnx(model({ input: [x], output: [y], node: chain }, at(18))));
  expect([opset, raised]).toEqual([18, [expect.stringMatching(/^opset 18: mish "Mish_v1" and 4 more: /)]]);
});

it("raises the opset for element types that an operator took up later", () => {
  const conv = (elem: number) =>
    importOnnx(
      model(
        {
          input: [value("x", [1, 1, 3, 3], elem), value("w", [1, 1, 3, 3], elem)],
          output: [value("y", [1, 1, 1, 1], elem)],
          node: [node("Conv", ["x", "w"], ["y"])],
        },
        at(22),
      ),
    );
  // 1 float, 10 float16, 16 bfloat16
  expect([1, 10, 16].map((e) => exportOnnx(conv(e)).opset)).toEqual([17, 17, 22]);
});

it("refuses control flow deeper than a file can hold", () => {
  const leaf = { name: "leaf", node: [node("Relu", ["x"], ["r"])], output: [value("r", ["N", 3])] };
  // Built from the inside, below the limit on reading, then put into each other in the IR.
  let g: GraphProto = leaf;
  for (let i = 0; i < 20; i++) {
    const branches = ["then_branch", "else_branch"].map((name) => ({ name, type: 5, g: name === "then_branch" ? g : leaf }));
    g = { name: `g${i}`, node: [node("If", ["c"], [`o${i}`], { attribute: branches })], output: [value(`o${i}`, ["N", 3])] };
  }
  const shallow = importOnnx(model({ ...g, input: [x, value("c", [], 9)] }));
  expect(codeOf(() => exportOnnx(shallow))).toBe("nothing");
  const inner = shallow.opsOf("if")[0];
  const deepest = (op: typeof inner): typeof inner => {
    const next = op?.regions[0]?.opsOf("if")[0];
    return next === undefined ? op : deepest(next);
  };
  const bottom = deepest(inner);
  const copy = shallow.clone().opsOf("if")[0];
  if (bottom !== undefined && copy !== undefined) (bottom.regions as Graph[])[0] = copy.regions[0] as Graph;
  expect(codeOf(() => exportOnnx(shallow))).toBe("CEC3011");
});

it("writes values of text IR that no file named", () => {
  const g = parseGraph("cir 1\ngraph @g level=float {\n  in    %x : f32[N, 3]\n  %1 = relu %x\n  %2 = neg %1\n  out   %2\n}\n");
  expect(codeOf(() => importOnnx(exportOnnx(g).bytes))).toBe("nothing");
});
