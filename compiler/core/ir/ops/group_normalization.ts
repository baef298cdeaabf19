import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { like, needRank, product } from "./_infer.js";
import { normalizeGroups } from "./_norm.js";

/** Scale and bias per channel (opset 21; the form of opset 18 with one per group is expanded on import). Source: ONNX GroupNormalization. */
export const groupNormalization = defineOp({
  kind: "group_normalization",
  summary: "Normalizes groups of channels of each sample, then scales and shifts per channel",
  attrs: attrs({ epsilon: z.number().optional(), num_groups: int, stash_type: int.optional() }),
  inputs: [3, 3],
  outputs: [1, 1],
  infer(ctx) {
    const c = needRank(ctx, 0, 3)?.[1];
    const groups = num(ctx.op, "num_groups", 1);
    if (groups < 1 || (typeof c === "number" && c % groups !== 0)) ctx.fail(`${c} channels do not divide into ${groups} groups`);
    return like(ctx);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 8 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [scale, bias] = [toNumbers(need(inputs, 1)), toNumbers(need(inputs, 2))];
    const area = product(x.dims.slice(2));
    const channels = x.dims[1] as number;
    const { y } = normalizeGroups(toNumbers(x), (channels / num(op, "num_groups", 1)) * area, num(op, "epsilon", 1e-5));
    const pick = (v: Float64Array, c: number): number => v[Math.floor((c * v.length) / channels)] as number;
    return [
      fromNumbers(
        x.type,
        x.dims,
        y.map((v, i) => v * pick(scale, Math.floor(i / area) % channels) + pick(bias, Math.floor(i / area) % channels)),
      ),
    ];
  },
});
