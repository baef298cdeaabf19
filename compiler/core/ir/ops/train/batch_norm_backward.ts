import { z } from "zod";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { type Type, tensorType } from "../../types.js";
import { attrs, bool01 } from "../_attrs.js";
import { need } from "../_eval.js";
import { floatTypes, needElem, needRank, needSameElem, product, unknown } from "../_infer.js";
import { channelAxis, channelSums, channelsOf } from "./_channels.js";

/**
 * Gradients of `train.batch_norm`: operands dy, x, scale, bias, and the batch's mean and 1/std; results dx, dscale, dbias. With x^ = (x - mean) / std, n elements
 * a channel: dx = scale / std * (dy - mean(dy) - x^ * mean(dy * x^)). With the activation `relu`, dy counts where the forward result is above 0.
 */
export const trainBatchNormBackward = defineOp({
  kind: "train.batch_norm_backward",
  summary: "Gradients of train.batch_norm: dx, dscale, dbias from dy, x, scale, bias, mean, 1/std",
  attrs: attrs({ channels_last: bool01.optional(), activation: z.enum(["relu"]).optional() }),
  inputs: [6, 6],
  outputs: [3, 3],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = needSameElem(ctx, [0, 1]);
    const shape = needRank(ctx, 1, 2);
    if (x === null) return unknown(ctx);
    const per: Type = tensorType(x.elem, shape === null ? (ctx.shape(2) ?? null) : [shape[channelAxis(ctx.attrs, shape.length)] ?? "?"]);
    return { types: [tensorType(x.elem, shape), per, per] };
  },
  cost: (_, { inputs }) => ({ macs: 0, flops: 10 * product(inputs[1] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 1);
    const [dy, v, scale, bias, mean, inv] = [0, 1, 2, 3, 4, 5].map((i) => toNumbers(need(inputs, i))) as [
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
      Float64Array,
    ];
    const c = channelsOf(x.dims, op.attrs);
    const hat = v.map((e, i) => (e - (mean[c.of(i)] as number)) * (inv[c.of(i)] as number));
    const relu = op.attrs["activation"] === "relu";
    const g = dy.map((e, i) => (relu && !((hat[i] as number) * (scale[c.of(i)] as number) + (bias[c.of(i)] as number) > 0) ? 0 : e));
    const dbias = channelSums(x.dims, c, (i) => g[i] as number);
    const dscale = channelSums(x.dims, c, (i) => (g[i] as number) * (hat[i] as number));
    const dx = g.map((e, i) => {
      const ch = c.of(i);
      return (
        (scale[ch] as number) * (inv[ch] as number) * (e - (dbias[ch] as number) / c.count - ((hat[i] as number) * (dscale[ch] as number)) / c.count)
      );
    });
    return [fromNumbers(x.type, x.dims, dx), fromNumbers(x.type, [c.channels], dscale), fromNumbers(x.type, [c.channels], dbias)];
  },
});
