import { flag, num, nums } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../../types.js";
import { attrs, bool01, int, ints, window } from "../_attrs.js";
import { need } from "../_eval.js";
import { checked, floatTypes, needElem, needRank, needSameElem, one, product, unknown } from "../_infer.js";
import { geometry, visitWindows } from "../_window.js";
import { channelsFirst, channelsLast } from "../cpu/_nhwc.js";

/**
 * Gradient of a convolution's weights: operands x and dy, attributes of the convolution with its `kernel_shape`. dw[o, c, k] is the sum over samples and output
 * pixels of dy * the element of x that tap k reads. With `channels_last`, x and dy are [N, H, W, C] and dw is [O, kh, kw, C/group].
 */
export const trainConvBackwardWeights = defineOp({
  kind: "train.conv_backward_weights",
  summary: "Gradient of the weights of a convolution: dw from x and dy",
  attrs: attrs({ ...window, kernel_shape: ints, group: int.optional(), channels_last: bool01.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const t = needSameElem(ctx, [0, 1]);
    const kernel = nums(ctx.op, "kernel_shape");
    const x = needRank(ctx, 0, kernel.length + 2, kernel.length + 2);
    const dy = needRank(ctx, 1, kernel.length + 2, kernel.length + 2);
    if (t === null) return unknown(ctx);
    const last = flag(ctx.op, "channels_last");
    const channel = last ? kernel.length + 1 : 1;
    const group = num(ctx.op, "group", 1);
    const o: Dim = dy?.[channel] ?? UNKNOWN_DIM;
    const c = x?.[channel];
    if (group < 1) ctx.fail(`group is ${group}`);
    if ((typeof c === "number" && c % group !== 0) || (typeof o === "number" && o % group !== 0))
      ctx.fail(`${c} and ${o} channels do not divide into ${group} groups`);
    const perGroup: Dim = typeof c === "number" ? c / group : UNKNOWN_DIM;
    return one(checked(ctx, t.elem, last ? [o, ...kernel, perGroup] : [o, perGroup, ...kernel]));
  },
  cost: (_, { inputs, outputs }) => ({ macs: (product(inputs[1] ?? []) / Math.max(1, outputs[0]?.[0] ?? 1)) * product(outputs[0] ?? []), flops: 0 }),
  evaluate(op, inputs) {
    const last = flag(op, "channels_last");
    const flat = (i: number) => {
      const t = { dims: need(inputs, i).dims, data: toNumbers(need(inputs, i)) };
      return last ? channelsFirst(t) : t;
    };
    const [x, dy] = [flat(0), flat(1)];
    const [n = 1, c = 1, ...spatial] = x.dims;
    const o = dy.dims[1] as number;
    const kernel = nums(op, "kernel_shape");
    const group = num(op, "group", 1);
    const g = geometry(op.attrs, spatial, kernel);
    const [area, outs, taps, cg, og] = [product(spatial), product(g.out), product(kernel), c / group, o / group];
    const dw = new Float64Array(o * cg * taps);
    visitWindows(g, spatial, (p, k, input) => {
      if (input < 0) return;
      for (let f = 0; f < o; f++) {
        const base = Math.floor(f / og) * cg;
        for (let i = 0; i < cg; i++) {
          let s = 0;
          for (let b = 0; b < n; b++) s += (dy.data[(b * o + f) * outs + p] as number) * (x.data[(b * c + base + i) * area + input] as number);
          dw[(f * cg + i) * taps + k]! += s;
        }
      }
    });
    const out = { dims: [o, cg, ...kernel], data: dw };
    const y = last ? channelsLast(out) : out;
    return [fromNumbers(need(inputs, 0).type, y.dims, y.data)];
  },
});
