/** Matrix products and embeddings. */
import { z } from "zod";
import { f32, i64, type Tensor, type Value } from "../../core/index.js";
import { fixedDim, layer, shapeOf } from "./layer.js";

const count = z.number().int().min(1);

/** 0 where a place may look, a number that softmax makes 0 of behind it. */
const causalMask = (length: number): Tensor =>
  f32(
    [length, length],
    Float32Array.from({ length: length * length }, (_, i) => (i % length > Math.floor(i / length) ? -1e9 : 0)),
  );

export const linear = [
  layer({
    name: "linear",
    summary: "x · Wᵀ + b over the last axis",
    inputs: 1,
    options: z.object({ features: count.describe("output features"), bias: z.boolean().default(true) }).strict(),
    positional: ["features"],
    build(c, [x], o) {
      const shape = shapeOf(c, x!);
      const features = fixedDim(c, shape, -1);
      const bias = o.bias ? c.filled("bias", [o.features], 0) : null;
      if (shape.length === 2) {
        const w = c.weights("weight", [o.features, features], features);
        return c.op("gemm", [x!, w, ...(bias === null ? [] : [bias])], { transB: 1 });
      }
      const w = c.weights("weight", [features, o.features], features);
      if (bias === null) return c.op("matmul", [x!, w]);
      return c.op("add", [c.op("matmul", [x!, w], {}, "matmul"), bias]);
    },
  }),
  layer({
    name: "matmul",
    summary: "Matrix product of two values",
    inputs: 2,
    options: z.object({}).strict(),
    positional: [],
    build: (c, [a, b]) => c.op("matmul", [a!, b!]),
  }),
  layer({
    name: "embedding",
    summary: "Rows of a table by integer index",
    inputs: 1,
    options: z.object({ count: count.describe("rows of the table"), features: count.describe("columns of the table") }).strict(),
    positional: ["count", "features"],
    build: (c, [x], o) => c.op("gather", [c.weights("weight", [o.count, o.features], 2), x!], { axis: 0 }),
  }),
  layer({
    name: "position_embedding",
    summary: "x + a table with a row for each place of a sequence, x being [N, sequence, features]",
    inputs: 1,
    options: z.object({}).strict(),
    positional: [],
    build(c, [x]) {
      const shape = shapeOf(c, x!, 3);
      const dims = [fixedDim(c, shape, 1), fixedDim(c, shape, 2)];
      return c.op("add", [x!, c.weights("weight", dims, 2)]);
    },
  }),
  layer({
    name: "attention",
    summary: "softmax(q · kᵀ / √d) · v in heads of d features (Vaswani et al. 2017, section 3.2); q, k, v are [N, sequence, features]",
    inputs: 3,
    options: z
      .object({
        heads: count.default(1).describe("parts that the features are split into; each attends by itself"),
        causal: z.boolean().default(false).describe("no place sees those behind it"),
      })
      .strict(),
    positional: ["heads"],
    build(c, [q, k, v], o) {
      const [length, features] = [1, 2].map((axis) => fixedDim(c, shapeOf(c, q!, 3), axis)) as [number, number];
      const others = fixedDim(c, shapeOf(c, k!, 3), 1);
      if (features % o.heads !== 0) c.reject(`${features} features do not split into ${o.heads} heads`);
      if (o.causal && length !== others) c.reject(`causal attention takes sequences of one length, these have ${length} and ${others}`);
      const split = (x: Value, name: string, sequence: number, perm: readonly number[]): Value =>
        c.op(
          "transpose",
          [c.op("reshape", [x, c.constant(`${name}.shape`, i64([0, sequence, o.heads, features / o.heads]))], {}, `${name}.heads`)],
          { perm },
          `${name}.split`,
        );
      const scale = c.constant("scale", f32([], [1 / Math.sqrt(features / o.heads)]));
      const queries = c.op("mul", [split(q!, "q", length, [0, 2, 1, 3]), scale], {}, "q.scaled");
      let scores = c.op("matmul", [queries, split(k!, "k", others, [0, 2, 3, 1])], {}, "scores");
      if (o.causal) scores = c.op("add", [scores, c.constant("mask", causalMask(length))], {}, "masked");
      const mixed = c.op("matmul", [c.op("softmax", [scores], { axis: -1 }, "weights"), split(v!, "v", others, [0, 2, 1, 3])], {}, "mixed");
      return c.op("reshape", [c.op("transpose", [mixed], { perm: [0, 2, 1, 3] }, "joined"), c.constant("shape", i64([0, length, features]))]);
    },
  }),
];
