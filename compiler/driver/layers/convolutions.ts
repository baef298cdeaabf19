/** Convolutions. Options have PyTorch's meaning: one number for both axes, or [height, width]. */
import { z } from "zod";
import { fixedDim, layer, shapeOf } from "./layer.js";

const count = z.number().int().min(1);
const sides = z.union([count, z.tuple([count, count])]);
const pads = z.union([z.number().int().min(0), z.tuple([z.number().int().min(0), z.number().int().min(0)])]);
export const pair = (v: number | readonly number[]): readonly [number, number] => (typeof v === "number" ? [v, v] : [v[0] as number, v[1] as number]);

const shared = {
  kernel: sides.default(1).describe("kernel size"),
  stride: sides.default(1).describe("step"),
  pad: pads.default(0).describe("zeros added at both ends of each axis"),
  dilation: sides.default(1).describe("distance of kernel elements"),
  groups: count.default(1).describe("groups of channels that do not mix"),
  bias: z.boolean().default(true).describe("adds a bias per output channel"),
};

const windowAttrs = (o: {
  kernel: number | number[];
  stride: number | number[];
  pad: number | number[];
  dilation: number | number[];
  groups: number;
}) => {
  const [ph, pw] = pair(o.pad);
  return {
    kernel_shape: [...pair(o.kernel)],
    strides: [...pair(o.stride)],
    pads: [ph, pw, ph, pw],
    dilations: [...pair(o.dilation)],
    group: o.groups,
  };
};

export const convolutions = [
  layer({
    name: "conv2d",
    summary: "Convolution of [N, C, H, W]",
    inputs: 1,
    options: z.object({ channels: count.describe("output channels"), ...shared }).strict(),
    positional: ["channels", "kernel"],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!, 4), 1);
      if (channels % o.groups !== 0 || o.channels % o.groups !== 0)
        c.reject(`${channels} input and ${o.channels} output channels do not split into ${o.groups} groups`, "both must be multiples of `groups`");
      const [kh, kw] = pair(o.kernel);
      const fanIn = (channels / o.groups) * kh * kw;
      const w = c.weights("weight", [o.channels, channels / o.groups, kh, kw], fanIn);
      return c.op("conv", [x!, w, ...(o.bias ? [c.filled("bias", [o.channels], 0)] : [])], windowAttrs(o));
    },
  }),
  layer({
    name: "conv1d",
    summary: "Convolution of [N, C, L]",
    inputs: 1,
    options: z
      .object({
        channels: count.describe("output channels"),
        kernel: count.default(1),
        stride: count.default(1),
        pad: z.number().int().min(0).default(0),
        dilation: count.default(1),
        groups: count.default(1),
        bias: z.boolean().default(true),
      })
      .strict(),
    positional: ["channels", "kernel"],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!, 3), 1);
      if (channels % o.groups !== 0 || o.channels % o.groups !== 0)
        c.reject(`${channels} input and ${o.channels} output channels do not split into ${o.groups} groups`, "both must be multiples of `groups`");
      const w = c.weights("weight", [o.channels, channels / o.groups, o.kernel], (channels / o.groups) * o.kernel);
      return c.op("conv", [x!, w, ...(o.bias ? [c.filled("bias", [o.channels], 0)] : [])], {
        kernel_shape: [o.kernel],
        strides: [o.stride],
        pads: [o.pad, o.pad],
        dilations: [o.dilation],
        group: o.groups,
      });
    },
  }),
  layer({
    name: "depthwise_conv2d",
    summary: "Convolution of each channel by itself",
    inputs: 1,
    options: z.object({ kernel: shared.kernel, stride: shared.stride, pad: shared.pad, dilation: shared.dilation, bias: shared.bias }).strict(),
    positional: ["kernel"],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!, 4), 1);
      const [kh, kw] = pair(o.kernel);
      const w = c.weights("weight", [channels, 1, kh, kw], kh * kw);
      return c.op("conv", [x!, w, ...(o.bias ? [c.filled("bias", [channels], 0)] : [])], windowAttrs({ ...o, groups: channels }));
    },
  }),
  layer({
    name: "conv_transpose2d",
    summary: "Transposed convolution of [N, C, H, W]",
    inputs: 1,
    options: z.object({ channels: count.describe("output channels"), ...shared, output_pad: pads.default(0) }).strict(),
    positional: ["channels", "kernel"],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!, 4), 1);
      if (channels % o.groups !== 0 || o.channels % o.groups !== 0)
        c.reject(`${channels} input and ${o.channels} output channels do not split into ${o.groups} groups`, "both must be multiples of `groups`");
      const [kh, kw] = pair(o.kernel);
      const w = c.weights("weight", [channels, o.channels / o.groups, kh, kw], (channels / o.groups) * kh * kw);
      return c.op("conv_transpose", [x!, w, ...(o.bias ? [c.filled("bias", [o.channels], 0)] : [])], {
        ...windowAttrs(o),
        output_padding: [...pair(o.output_pad)],
      });
    },
  }),
];
