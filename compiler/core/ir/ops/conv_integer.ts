import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { attrs, int, window } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, needElem, needRank, one } from "./_infer.js";
import { convolve } from "./_window.js";
import { convShape } from "./conv.js";

/** Integer convolution to i32. Source: ONNX ConvInteger. */
export const convInteger = defineOp({
  kind: "conv_integer",
  summary: "Convolution of 8-bit integers with zero points, sums in i32",
  attrs: attrs({ ...window, group: int.optional() }),
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1]) needElem(ctx, i, ["u8", "i8"]);
    return one(checked(ctx, "i32", convShape(ctx, needRank(ctx, 0, 3), needRank(ctx, 1, 3))));
  },
  cost: (op, shapes) => ({
    macs: (shapes.outputs[0] ?? []).reduce((a, b) => a * b, 1) * (shapes.inputs[1] ?? []).slice(1).reduce((a, b) => a * b, 1),
    flops: 0 * op.inputs.length,
  }),
  evaluate(op, inputs) {
    const [x, w] = [need(inputs, 0), need(inputs, 1)];
    const zero = (t: Tensor | null | undefined): Float64Array => (t == null ? new Float64Array(1) : toNumbers(t));
    const [xz, wz] = [zero(inputs[2]), zero(inputs[3])];
    const [xv, wv] = [toNumbers(x), toNumbers(w)];
    const y = convolve(
      { dims: x.dims, at: (i) => (xv[i] as number) - (xz[0] as number) },
      { dims: w.dims, at: (i, o) => (wv[i] as number) - (wz[wz.length === 1 ? 0 : o] as number) },
      op.attrs,
    );
    return [fromNumbers("i32", y.dims, y.data)];
  },
});
