/** Normalizations, with the identity as initial state. */
import { z } from "zod";
import { fixedDim, layer, shapeOf } from "./layer.js";

const epsilon = z.number().positive().default(1e-5).describe("added to the variance");

export const normalizations = [
  layer({
    name: "batch_norm",
    summary: "Batch normalization over axis 1, with stored mean and variance",
    inputs: 1,
    options: z.object({ epsilon }).strict(),
    positional: [],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!), 1);
      const of = (suffix: string, v: number) => c.filled(suffix, [channels], v);
      return c.op("batch_normalization", [x!, of("scale", 1), of("bias", 0), of("mean", 0), of("variance", 1)], { epsilon: o.epsilon });
    },
  }),
  layer({
    name: "layer_norm",
    summary: "Layer normalization over the last axis",
    inputs: 1,
    options: z.object({ epsilon }).strict(),
    positional: [],
    build(c, [x], o) {
      const features = fixedDim(c, shapeOf(c, x!), -1);
      return c.op("layer_normalization", [x!, c.filled("scale", [features], 1), c.filled("bias", [features], 0)], { axis: -1, epsilon: o.epsilon });
    },
  }),
  layer({
    name: "instance_norm",
    summary: "Instance normalization over all axes behind the channels",
    inputs: 1,
    options: z.object({ epsilon }).strict(),
    positional: [],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!), 1);
      return c.op("instance_normalization", [x!, c.filled("scale", [channels], 1), c.filled("bias", [channels], 0)], { epsilon: o.epsilon });
    },
  }),
  layer({
    name: "group_norm",
    summary: "Group normalization",
    inputs: 1,
    options: z.object({ groups: z.number().int().min(1).describe("groups of channels"), epsilon }).strict(),
    positional: ["groups"],
    build(c, [x], o) {
      const channels = fixedDim(c, shapeOf(c, x!), 1);
      if (channels % o.groups !== 0) c.reject(`${channels} channels do not split into ${o.groups} groups`);
      return c.op("group_normalization", [x!, c.filled("scale", [channels], 1), c.filled("bias", [channels], 0)], {
        num_groups: o.groups,
        epsilon: o.epsilon,
      });
    },
  }),
];
