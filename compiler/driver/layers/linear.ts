/** Matrix products and embeddings. */
import { z } from "zod";
import { fixedDim, layer, shapeOf } from "./layer.js";

const count = z.number().int().min(1);

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
];
