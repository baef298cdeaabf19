/** Functions of single elements, and softmax. */
import { z } from "zod";
import { f32 } from "../../core/index.js";
import { type Layer, layer } from "./layer.js";

const none = z.object({}).strict();

const unary = (name: string, summary: string, kind = name): Layer =>
  layer({ name, summary, inputs: 1, options: none, positional: [], build: (c, [x]) => c.op(kind, [x!]) });

export const activations = [
  unary("relu", "max(0, x)"),
  unary("sigmoid", "1 / (1 + exp(-x))"),
  unary("tanh", "Hyperbolic tangent"),
  unary("hard_swish", "x · clip(x / 6 + 1/2, 0, 1)"),
  unary("softplus", "log(1 + exp(x))"),
  unary("exp", "Exponential"),
  unary("sqrt", "Square root"),
  unary("identity", "x"),
  layer({
    name: "hard_sigmoid",
    summary: "clip(x / 6 + 1/2, 0, 1), as MobileNetV3 has it",
    inputs: 1,
    options: none,
    positional: [],
    build: (c, [x]) => c.op("hard_sigmoid", [x!], { alpha: 1 / 6, beta: 0.5 }),
  }),
  layer({
    name: "gelu",
    summary: "Gaussian error linear unit",
    inputs: 1,
    options: z.object({ approximate: z.enum(["none", "tanh"]).default("none") }).strict(),
    positional: [],
    build: (c, [x], o) => c.op("gelu", [x!], { approximate: o.approximate }),
  }),
  layer({
    name: "leaky_relu",
    summary: "x, or slope · x where x is negative",
    inputs: 1,
    options: z.object({ slope: z.number().default(0.01) }).strict(),
    positional: ["slope"],
    build: (c, [x], o) => c.op("leaky_relu", [x!], { alpha: o.slope }),
  }),
  layer({
    name: "relu6",
    summary: "min(max(0, x), 6)",
    inputs: 1,
    options: none,
    positional: [],
    build: (c, [x]) => c.op("clip", [x!, c.constant("min", f32([], [0])), c.constant("max", f32([], [6]))]),
  }),
  layer({
    name: "clip",
    summary: "x within [min, max]",
    inputs: 1,
    options: z.object({ min: z.number(), max: z.number() }).strict(),
    positional: ["min", "max"],
    build: (c, [x], o) => c.op("clip", [x!, c.constant("min", f32([], [o.min])), c.constant("max", f32([], [o.max]))]),
  }),
  layer({
    name: "softmax",
    summary: "Softmax along one axis",
    inputs: 1,
    options: z.object({ axis: z.number().int().default(-1) }).strict(),
    positional: ["axis"],
    build: (c, [x], o) => c.op("softmax", [x!], { axis: o.axis }),
  }),
  layer({
    name: "log_softmax",
    summary: "Logarithm of softmax along one axis",
    inputs: 1,
    options: z.object({ axis: z.number().int().default(-1) }).strict(),
    positional: ["axis"],
    build: (c, [x], o) => c.op("log_softmax", [x!], { axis: o.axis }),
  }),
  layer({
    name: "dropout",
    summary: "Dropout: does nothing at inference",
    inputs: 1,
    options: z.object({ ratio: z.number().min(0).lt(1).default(0.5) }).strict(),
    positional: ["ratio"],
    build: (c, [x], o) => c.op("dropout", [x!, c.constant("ratio", f32([], [o.ratio]))]),
  }),
];
