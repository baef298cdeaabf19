/** Pools of [N, C, H, W]. */
import { z } from "zod";
import { pair } from "./convolutions.js";
import { layer, shapeOf } from "./layer.js";

const count = z.number().int().min(1);
const sides = z.union([count, z.tuple([count, count])]);
const window = {
  kernel: sides.describe("window"),
  stride: sides.optional().describe("step; the window where absent"),
  pad: z.number().int().min(0).default(0),
  ceil: z.boolean().default(false).describe("round output sizes up"),
};

const attrs = (o: { kernel: number | number[]; stride?: number | number[] | undefined; pad: number; ceil: boolean }) => ({
  kernel_shape: [...pair(o.kernel)],
  strides: [...pair(o.stride ?? o.kernel)],
  pads: [o.pad, o.pad, o.pad, o.pad],
  ceil_mode: o.ceil ? 1 : 0,
});

export const pools = [
  layer({
    name: "max_pool",
    summary: "Greatest value of each window",
    inputs: 1,
    options: z.object(window).strict(),
    positional: ["kernel"],
    build(c, [x], o) {
      shapeOf(c, x!, 4);
      return c.op("max_pool", [x!], attrs(o));
    },
  }),
  layer({
    name: "avg_pool",
    summary: "Mean of each window",
    inputs: 1,
    options: z.object({ ...window, count_pad: z.boolean().default(true).describe("padding counts as zeros") }).strict(),
    positional: ["kernel"],
    build(c, [x], o) {
      shapeOf(c, x!, 4);
      return c.op("average_pool", [x!], { ...attrs(o), count_include_pad: o.count_pad ? 1 : 0 });
    },
  }),
  layer({
    name: "global_avg_pool",
    summary: "Mean of each channel: [N, C, 1, 1]",
    inputs: 1,
    options: z.object({}).strict(),
    positional: [],
    build: (c, [x]) => c.op("global_average_pool", [x!]),
  }),
  layer({
    name: "global_max_pool",
    summary: "Greatest value of each channel: [N, C, 1, 1]",
    inputs: 1,
    options: z.object({}).strict(),
    positional: [],
    build: (c, [x]) => c.op("global_max_pool", [x!]),
  }),
];
