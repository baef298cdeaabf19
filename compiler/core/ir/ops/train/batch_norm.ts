import { z } from "zod";
import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { type Type, tensorType } from "../../types.js";
import { attrs, bool01 } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { need } from "../_eval.js";
import { floatTypes, needElem, needRank, product, unknown } from "../_infer.js";
import { channelAxis, channelSums, channelsOf } from "./_channels.js";

/**
 * Batch normalization by the statistics of the batch (Ioffe, Szegedy 2015): operands x, scale, bias, running mean, running variance; results y, the next running
 * mean and variance, and the batch's mean and 1/std for the backward op. Running statistics follow ONNX BatchNormalization: running * momentum + batch * (1 -
 * momentum), with the population variance.
 */
export const trainBatchNorm = defineOp({
  kind: "train.batch_norm",
  summary: "Batch normalization by batch statistics: y, next running mean and variance, batch mean and 1/std",
  attrs: attrs({
    epsilon: z.number().optional(),
    momentum: z.number().optional(),
    channels_last: bool01.optional(),
    activation: z.enum(["relu"]).optional(),
  }),
  inputs: [5, 5],
  outputs: [5, 5],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const shape = needRank(ctx, 0, 2);
    const c = shape === null ? undefined : shape[channelAxis(ctx.attrs, shape.length)];
    for (let i = 1; i < 5; i++) {
      const s = needRank(ctx, i, 1, 1);
      if (typeof c === "number" && typeof s?.[0] === "number" && s[0] !== c) ctx.fail(`operand ${i} has ${s[0]} entries for ${c} channels`);
    }
    const per: Type = tensorType(x.elem, c === undefined ? (ctx.shape(1) ?? null) : [c]);
    return { types: [tensorType(x.elem, x.shape), per, per, per, per] };
  },
  cost: (_, { inputs }) => ({ macs: 0, flops: 7 * product(inputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [scale, bias, runMean, runVar] = [1, 2, 3, 4].map((i) => toNumbers(need(inputs, i))) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const c = channelsOf(x.dims, op.attrs);
    const v = toNumbers(x);
    const [momentum, epsilon] = [num(op, "momentum", 0.9), num(op, "epsilon", 1e-5)];
    const mean = channelSums(x.dims, c, (i) => v[i] as number).map((s) => s / c.count);
    const variance = channelSums(x.dims, c, (i, ch) => ((v[i] as number) - (mean[ch] as number)) ** 2).map((s) => s / c.count);
    const inv = variance.map((s) => 1 / Math.sqrt(s + epsilon));
    const y = v.map((e, i) => {
      const ch = c.of(i);
      return (e - (mean[ch] as number)) * (inv[ch] as number) * (scale[ch] as number) + (bias[ch] as number);
    });
    const per = (values: Float64Array) => fromNumbers(x.type, [c.channels], values);
    return [
      activate(op, fromNumbers(x.type, x.dims, y)),
      per(mean.map((m, ch) => (runMean[ch] as number) * momentum + m * (1 - momentum))),
      per(variance.map((s, ch) => (runVar[ch] as number) * momentum + s * (1 - momentum))),
      per(mean),
      per(inv),
    ];
  },
});
