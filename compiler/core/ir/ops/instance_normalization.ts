import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs } from "./_attrs.js";
import { need } from "./_eval.js";
import { like, needRank, product } from "./_infer.js";
import { normalizeGroups } from "./_norm.js";

/** Source: ONNX InstanceNormalization. */
export const instanceNormalization = defineOp({
  kind: "instance_normalization",
  summary: "Normalizes each channel of each sample, then scales and shifts per channel",
  attrs: attrs({ epsilon: z.number().optional() }),
  inputs: [3, 3],
  outputs: [1, 1],
  infer(ctx) {
    needRank(ctx, 0, 3);
    return like(ctx);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 8 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [scale, bias] = [toNumbers(need(inputs, 1)), toNumbers(need(inputs, 2))];
    const area = product(x.dims.slice(2));
    const { y } = normalizeGroups(toNumbers(x), area, num(op, "epsilon", 1e-5));
    const channels = x.dims[1] as number;
    return [
      fromNumbers(
        x.type,
        x.dims,
        y.map((v, i) => v * (scale[Math.floor(i / area) % channels] as number) + (bias[Math.floor(i / area) % channels] as number)),
      ),
    ];
  },
});
