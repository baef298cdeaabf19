import { flag, nums } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs, bool01, ints, window } from "../_attrs.js";
import { need } from "../_eval.js";
import { floatTypes, like, needElem, needSameElem, product } from "../_infer.js";
import { geometry, visitWindows } from "../_window.js";
import { channelsFirst, channelsLast } from "../cpu/_nhwc.js";

/** Gradient of max pooling: operands x and dy, attributes of the pool. Each dy goes to the first greatest element of its window, as PyTorch does. */
export const trainMaxPoolBackward = defineOp({
  kind: "train.max_pool_backward",
  summary: "Gradient of max pooling: dx from x and dy",
  attrs: attrs({ ...window, kernel_shape: ints, ceil_mode: bool01.optional(), channels_last: bool01.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    needSameElem(ctx, [0, 1]);
    return like(ctx);
  },
  cost: (op, { inputs }) => ({ macs: 0, flops: product(inputs[1] ?? []) * product(nums(op, "kernel_shape")) }),
  evaluate(op, inputs) {
    const last = flag(op, "channels_last");
    const flat = (i: number) => {
      const t = { dims: need(inputs, i).dims, data: toNumbers(need(inputs, i)) };
      return last ? channelsFirst(t) : t;
    };
    const [x, dy] = [flat(0), flat(1)];
    const [n = 1, c = 1, ...spatial] = x.dims;
    const g = geometry(op.attrs, spatial, nums(op, "kernel_shape"));
    const [area, outs] = [product(spatial), product(g.out)];
    const best = new Int32Array(n * c * outs).fill(-1);
    visitWindows(g, spatial, (o, _, input) => {
      if (input < 0) return;
      for (let p = 0; p < n * c; p++) {
        const at = best[p * outs + o] as number;
        if (at < 0 || (x.data[p * area + input] as number) > (x.data[p * area + at] as number)) best[p * outs + o] = input;
      }
    });
    const dx = new Float64Array(x.data.length);
    best.forEach((at, i) => {
      if (at >= 0) dx[Math.floor(i / outs) * area + at]! += dy.data[i] as number;
    });
    const y = last ? channelsLast({ dims: x.dims, data: dx }) : { dims: x.dims, data: dx };
    return [fromNumbers(need(inputs, 0).type, y.dims, y.data)];
  },
});
