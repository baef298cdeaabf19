import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { type Type, tensorType } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { need } from "./_eval.js";
import { floatTypes, needElem, needRank, product, unknown } from "./_infer.js";
import { channelStatistics, normalizeChannels } from "./_norm.js";

/** Batch normalization; in training mode it also gives running statistics. Source: ONNX BatchNormalization. */
export const batchNormalization = defineOp({
  kind: "batch_normalization",
  summary: "Per-channel affine by mean and variance: operands x, scale, bias, mean, var",
  attrs: attrs({ epsilon: z.number().optional(), momentum: z.number().optional(), training_mode: bool01.optional() }),
  inputs: [5, 5],
  outputs: [1, 3],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const c = needRank(ctx, 0, 1)?.[1];
    for (let i = 1; i < 5; i++) {
      const s = needRank(ctx, i, 1, 1);
      if (typeof c === "number" && typeof s?.[0] === "number" && s[0] !== c) ctx.fail(`operand ${i} has ${s[0]} entries for ${c} channels`);
    }
    const statistics = (i: number): Type => tensorType(ctx.type(i)?.elem ?? x.elem, ctx.shape(i));
    return { types: [tensorType(x.elem, x.shape), statistics(3), statistics(4)].slice(0, ctx.outputCount) };
  },
  cost: (_, { outputs }) => ({ macs: product(outputs[0] ?? []), flops: 0 }),
  evaluate(op, inputs) {
    const [x, ...rest] = [0, 1, 2, 3, 4].map((i) => need(inputs, i));
    const [scale, bias, mean, variance] = rest.map(toNumbers) as [Float64Array, Float64Array, Float64Array, Float64Array];
    const epsilon = num(op, "epsilon", 1e-5);
    if (num(op, "training_mode", 0) === 0) return [normalizeChannels(x!, scale, bias, mean, variance, epsilon)];
    const batch = channelStatistics(x!);
    const momentum = num(op, "momentum", 0.9);
    const running = (old: Float64Array, now: Float64Array): Tensor =>
      fromNumbers(
        x!.type,
        [old.length],
        old.map((v, c) => v * momentum + (now[c] as number) * (1 - momentum)),
      );
    const y = normalizeChannels(x!, scale, bias, batch.mean, batch.variance, epsilon);
    return [y, running(mean, batch.mean), running(variance, batch.variance)].slice(0, op.outputs.length);
  },
});
