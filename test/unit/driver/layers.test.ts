/** Layers of the language against loops over their definition, by the reference evaluation. */
import { expect, it } from "vitest";
import { f32, type GraphBuilder, graphBuilder, randomFrom, type Tensor, toNumbers, type Value } from "../../../compiler/core/index.js";
import { layerContext, layers } from "../../../compiler/driver/layers/index.js";
import { evaluateGraph } from "../passes/support.js";

const build = (b: GraphBuilder, name: string, inputs: readonly Value[], options: object): Value => {
  const l = layers.get(name);
  if (l === undefined) throw new Error(`no layer ${name}`);
  return l.build(layerContext(b, name, 3), inputs, l.options.parse(options)) as Value;
};
const random = randomFrom(5);
const values = (dims: readonly number[]): Tensor =>
  f32(
    dims,
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1),
  );

it.each([
  [1, false],
  [3, false],
  [2, true],
])("attention in %i heads, causal %s", async (heads, causal) => {
  const [n, s, width] = [2, 5, 6];
  const [q, k, v] = [values([n, s, width]), values([n, s, width]), values([n, s, width])];
  const b = graphBuilder("g");
  const inputs = ["q", "k", "v"].map((name) => b.input(name, "f32", ["N", s, width]));
  b.output("y", build(b, "attention", inputs, { heads, causal }));
  const y = toNumbers((await evaluateGraph(b.graph, { q, k, v }))["y"] as Tensor);
  const d = width / heads;
  const at = (t: Tensor, i: number, row: number, column: number): number => t.data[(i * s + row) * width + column] as number;
  for (let i = 0; i < n; i++)
    for (let h = 0; h < heads; h++)
      for (let row = 0; row < s; row++) {
        const seen = causal ? row + 1 : s;
        const scores = Array.from({ length: seen }, (_, other) => {
          let dot = 0;
          for (let c = 0; c < d; c++) dot += at(q, i, row, h * d + c) * at(k, i, other, h * d + c);
          return Math.exp(dot / Math.sqrt(d));
        });
        const sum = scores.reduce((a, e) => a + e, 0);
        for (let c = 0; c < d; c++) {
          const want = scores.reduce((a, e, other) => a + (e / sum) * at(v, i, other, h * d + c), 0);
          expect(y[(i * s + row) * width + h * d + c]).toBeCloseTo(want, 5);
        }
      }
});

it("attention names heads that do not divide the features, and causal attention over two lengths", () => {
  const b = graphBuilder("g");
  const [x, y] = [b.input("x", "f32", ["N", 4, 6]), b.input("y", "f32", ["N", 3, 6])];
  expect(() => build(b, "attention", [x, x, x], { heads: 4 })).toThrow(/CEC4001: layer attention: 6 features do not split into 4 heads/);
  expect(() => build(b, "attention", [x, y, y], { causal: true })).toThrow(/sequences of one length, these have 4 and 3/);
});

it("a position embedding adds one row of its table to each place, the same in all samples", async () => {
  const b = graphBuilder("g");
  b.output("y", build(b, "position_embedding", [b.input("x", "f32", ["N", 3, 2])], {}));
  const x = values([2, 3, 2]);
  const y = toNumbers((await evaluateGraph(b.graph, { x }))["y"] as Tensor);
  const table = y.map((e, i) => e - (x.data[i] as number));
  for (let i = 0; i < 6; i++) expect(table[i]).toBeCloseTo(table[i + 6] as number, 5);
  expect(new Set([...table.slice(0, 6)].map((e) => e.toFixed(3))).size).toBeGreaterThan(1);
});

it("weights are drawn when they are asked for, and are the same ones each time", () => {
  const draw = (): Float32Array => {
    const b = graphBuilder("g");
    build(b, "linear", [b.input("x", "f32", ["N", 8])], { features: 4 });
    const op = b.graph.constants().find((c) => c.outputs[0]?.name === "linear.weight");
    const bytes = op?.data?.bytes() as Uint8Array;
    expect(bytes).toBe(op?.data?.bytes());
    return new Float32Array(bytes.buffer, bytes.byteOffset, 32);
  };
  expect(draw()).toEqual(draw());
});
