import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs, int, window } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, needRank, one, product, unknown } from "./_infer.js";
import { requantize } from "./_quantize.js";
import { convolve } from "./_window.js";
import { convShape } from "./conv.js";

/** Quantized convolution. Source: ONNX QLinearConv; operands x, x_scale, x_zp, w, w_scale, w_zp, y_scale, y_zp, bias?. */
export const qlinearConv = defineOp({
  kind: "qlinear_conv",
  summary: "Convolution of quantized operands with a quantized result",
  attrs: attrs({ ...window, group: int.optional() }),
  inputs: [8, 9],
  outputs: [1, 1],
  infer(ctx) {
    const y = ctx.type(7);
    return y === null ? unknown(ctx) : one(checked(ctx, y.elem, convShape(ctx, needRank(ctx, 0, 3), needRank(ctx, 3, 3))));
  },
  cost: (_, { inputs, outputs }) => ({ macs: product(outputs[0] ?? []) * product((inputs[3] ?? []).slice(1)), flops: 2 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const [x, w] = [need(inputs, 0), need(inputs, 3)];
    const n = (i: number): Float64Array => toNumbers(need(inputs, i));
    const [xs, xz, ws, wz, ys, yz] = [n(1), n(2), n(4), n(5), n(6), n(7)];
    const [xv, wv] = [toNumbers(x), toNumbers(w)];
    const bias = inputs[8] == null ? null : n(8);
    const pick = (v: Float64Array, o: number): number => v[v.length === 1 ? 0 : o] as number;
    const y = convolve(
      { dims: x.dims, at: (i) => (xv[i] as number) - (xz[0] as number) },
      { dims: w.dims, at: (i, o) => (wv[i] as number) - pick(wz, o) },
      op.attrs,
    );
    const area = product(y.dims.slice(2));
    const channels = y.dims[1] as number;
    const out = y.data.map((v, i) => {
      const o = Math.floor(i / area) % channels;
      return requantize(
        v + (bias === null ? 0 : (bias[o] as number)),
        xs[0] as number,
        pick(ws, o),
        ys[0] as number,
        yz[0] as number,
        need(inputs, 7).type,
      );
    });
    return [fromNumbers(need(inputs, 7).type, y.dims, out)];
  },
});
