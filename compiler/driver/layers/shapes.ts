/** Sums and products of values, and layers that move elements. */
import { z } from "zod";
import { f32, i64 } from "../../core/index.js";
import { type Layer, layer, shapeOf } from "./layer.js";

const none = z.object({}).strict();
const ints = z.array(z.number().int());

const binary = (name: string, summary: string): Layer =>
  layer({ name, summary, inputs: 2, options: none, positional: [], build: (c, [a, b]) => c.op(name, [a!, b!]) });

export const shapes = [
  binary("add", "a + b, broadcast"),
  binary("sub", "a - b, broadcast"),
  binary("mul", "a · b, broadcast"),
  binary("div", "a / b, broadcast"),
  layer({
    name: "scale",
    summary: "x · factor + offset",
    inputs: 1,
    options: z.object({ factor: z.number().default(1), offset: z.number().default(0) }).strict(),
    positional: ["factor", "offset"],
    build(c, [x], o) {
      const y = c.op("mul", [x!, c.constant("factor", f32([], [o.factor]))], {}, o.offset === 0 ? undefined : "mul");
      return o.offset === 0 ? y : c.op("add", [y, c.constant("offset", f32([], [o.offset]))]);
    },
  }),
  layer({
    name: "concat",
    summary: "Values one after the other along an axis",
    inputs: "variadic",
    options: z.object({ axis: z.number().int().default(1) }).strict(),
    positional: [],
    build: (c, inputs, o) => c.op("concat", inputs, { axis: o.axis }),
  }),
  layer({
    name: "flatten",
    summary: "All axes behind the first become one",
    inputs: 1,
    options: z.object({ axis: z.number().int().default(1) }).strict(),
    positional: ["axis"],
    build: (c, [x], o) => c.op("flatten", [x!], { axis: o.axis }),
  }),
  layer({
    name: "reshape",
    summary: "Another shape for the same elements; 0 keeps an axis, -1 is what remains",
    inputs: 1,
    options: z.object({ shape: ints.min(1) }).strict(),
    positional: ["shape"],
    build: (c, [x], o) => c.op("reshape", [x!, c.constant("shape", i64(o.shape))]),
  }),
  layer({
    name: "transpose",
    summary: "Axes in another order",
    inputs: 1,
    options: z.object({ perm: ints.min(1) }).strict(),
    positional: ["perm"],
    build: (c, [x], o) => c.op("transpose", [x!], { perm: o.perm }),
  }),
  layer({
    name: "slice",
    summary: "Elements [start, end) of one axis, every `step`-th",
    inputs: 1,
    options: z
      .object({
        axis: z.number().int(),
        start: z.number().int().default(0),
        end: z.number().int().default(Number.MAX_SAFE_INTEGER),
        step: z.number().int().default(1),
      })
      .strict(),
    positional: ["axis", "start", "end"],
    build: (c, [x], o) =>
      c.op("slice", [
        x!,
        c.constant("start", i64([o.start])),
        c.constant("end", i64([o.end])),
        c.constant("axis", i64([o.axis])),
        c.constant("step", i64([o.step])),
      ]),
  }),
  layer({
    name: "pad",
    summary: "Zeros before and behind each axis: all befores, then all behinds, as ONNX has it",
    inputs: 1,
    options: z.object({ pads: ints.min(2) }).strict(),
    positional: ["pads"],
    build(c, [x], o) {
      const { length } = shapeOf(c, x!);
      if (o.pads.length !== 2 * length) c.reject(`its operand has ${length} axes, so it takes ${2 * length} numbers, not ${o.pads.length}`);
      return c.op("pad", [x!, c.constant("pads", i64(o.pads))]);
    },
  }),
  layer({
    name: "resize",
    summary: "Nearest-neighbour upsampling by a whole factor",
    inputs: 1,
    options: z.object({ factor: z.number().int().min(1) }).strict(),
    positional: ["factor"],
    build: (c, [x], o) =>
      c.op("resize", [x!, null, c.constant("scales", f32([4], [1, 1, o.factor, o.factor]))], {
        mode: "nearest",
        nearest_mode: "floor",
        coordinate_transformation_mode: "asymmetric",
      }),
  }),
  layer({
    name: "mean",
    summary: "Mean over axes",
    inputs: 1,
    options: z.object({ axes: ints.min(1), keep: z.boolean().default(false).describe("keep the axes with size 1") }).strict(),
    positional: ["axes"],
    build: (c, [x], o) => c.op("reduce_mean", [x!, c.constant("axes", i64(o.axes))], { keepdims: o.keep ? 1 : 0 }),
  }),
];
