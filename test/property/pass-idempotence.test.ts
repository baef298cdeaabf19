/** Passes that keep values, run twice on random float graphs: the second run finds nothing to do, and values stay what they were. */
import { expect, it } from "vitest";
import {
  buildGraph,
  compareTensors,
  diffGraphs,
  f32,
  type Graph,
  i64,
  type PassDefinition,
  randomFrom,
  runPipeline,
  type Tensor,
  type Value,
} from "../../compiler/core/index.js";
import { canonicalizePasses } from "../../passes/index.js";
import { evaluateGraph, randomFeeds } from "../unit/passes/support.js";

/** A graph of image and matrix ops in which every pass finds something now and then: shared values, several outputs, foldable chains. */
function randomModel(seed: number): Graph {
  const random = randomFrom(seed);
  const int = (n: number): number => Math.floor(random() * n);
  const pick = <T>(from: readonly T[]): T => from[int(from.length)] as T;
  const C = 3;
  return buildGraph(`g${seed}`, (b) => {
    let n = 0;
    const numbers = (dims: readonly number[], low = -1, high = 1): Value =>
      b.constant(
        `k${n++}`,
        f32(
          dims,
          Array.from({ length: dims.reduce((x, y) => x * y, 1) }, () => low + (high - low) * random()),
        ),
      );
    const scalar = (v: number): Value => b.constant(`k${n++}`, f32([], [v]));
    const made: Value[] = [b.input("x", "f32", ["N", C, 4, 4])];
    const op = (kind: string, inputs: readonly (Value | null)[], attrs = {}): Value =>
      b.op(kind, inputs, attrs, { name: `op${n++}` }).outputs[0] as Value;
    const makers: readonly ((x: Value, y: Value) => Value)[] = [
      (x) => op("conv", random() < 0.5 ? [x, numbers([C, C, 1, 1])] : [x, numbers([C, C, 1, 1]), numbers([C])]),
      (x) => op("conv", [x, numbers([C, C, 3, 3])], { pads: [1, 1, 1, 1] }),
      (x) => op("conv_transpose", [x, numbers([C, C, 1, 1])]),
      (x) => op("batch_normalization", [x, numbers([C], 0.5, 2), numbers([C]), numbers([C]), numbers([C], 0.5, 2)]),
      (x) => op("relu", [x]),
      (x) => op("clip", [x, scalar(0), scalar(pick([1, 6]))]),
      (x) => op("identity", [x]),
      (x) => op("transpose", [op("transpose", [x], { perm: [0, 2, 3, 1] })], { perm: [0, 3, 1, 2] }),
      (x, y) => op("add", [x, y]),
      (x, y) => op("sub", [x, y]),
      (x) => op("mul", [x, scalar(pick([1, 0.5]))]),
      (x) => op("add", [x, op("neg", [numbers([1, C, 1, 1])])]),
      (x) => op("reshape", [x, b.constant(`k${n++}`, i64([0, C, 4, 4]))]),
      (x) => op("div", [op("mul", [x, op("clip", [op("add", [x, scalar(3)]), scalar(0), scalar(6)])]), scalar(6)]),
      (x) => op("mul", [op("mul", [x, op("add", [op("erf", [op("div", [x, scalar(Math.SQRT2)])]), scalar(1)])]), scalar(0.5)]),
      (x) => op("pad", [x, b.constant(`k${n++}`, i64([0, 0, 0, 0, 0, 0, 0, 0]))]),
    ];
    for (let k = 4 + int(14); k > 0; k--) made.push(pick(makers)(random() < 0.7 ? (made.at(-1) as Value) : pick(made), pick(made)));
    const flat = op("flatten", [made.at(-1) as Value]);
    const product = op("matmul", [flat, numbers([C * 16, 2])]);
    b.output("y", random() < 0.7 ? op("relu", [op("add", [product, numbers([2])])]) : product);
    if (random() < 0.4) b.output("z", pick(made.slice(1)));
  });
}

const run = (g: Graph, pass: PassDefinition): ReturnType<typeof runPipeline> => runPipeline(g, [{ pass, options: {} }], { seed: 1, verify: "each" });

for (const pass of canonicalizePasses) {
  it(`${pass.name} finds nothing to do in its own result, and keeps values`, async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const before = randomModel(seed);
      const once = before.clone();
      await run(once, pass);
      const twice = once.clone();
      await run(twice, pass);
      expect({ seed, changes: diffGraphs(twice, once).map((d) => d.message) }).toEqual({ seed, changes: [] });
      const feeds = randomFeeds(before, seed) ?? {};
      const [a, b] = [await evaluateGraph(before, feeds), await evaluateGraph(once, feeds)];
      for (const name of Object.keys(a)) {
        const same = compareTensors(a[name] as Tensor, b[name] as Tensor, pass.keeps === "bit-exact" ? "bit-exact" : "values");
        expect({ seed, name, ...same }).toMatchObject({ same: true });
      }
    }
  });
}

it("the random models hold what the passes look for", async () => {
  const total: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed++) {
    for (const pass of canonicalizePasses.filter((p) => p.expand === undefined)) {
      const { passes } = await run(randomModel(seed), pass);
      total[pass.name] = (total[pass.name] ?? 0) + (passes[0]?.patches ?? 0);
    }
  }
  // Layer normalization has golden cases only; models come with inferred types.
  const idle = Object.entries(total).flatMap(([name, n]) => (n === 0 ? [name] : []));
  expect(idle.sort()).toEqual(["dedupe-constants", "eliminate-dead-code", "fuse-layer-norm", "infer-shapes"].filter((n) => idle.includes(n)));
});
