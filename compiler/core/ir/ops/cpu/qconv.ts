import { defineOp } from "../../op.js";
import { fromNumbers } from "../../tensor.js";
import { attrs } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { need } from "../_eval.js";
import { elementsOf, needElem, unknown } from "../_infer.js";
import { convolve } from "../_window.js";
import { activation, channelsFirst, channelsLast, convolution, eightBit, flat, group, spatial } from "./_nhwc.js";
import { checkParams, finish, params, result, resultType, zeroOf } from "./_q.js";

/** Padding contributes the zero point of x, that is real 0. Operands x, w, bias?, w_scale. */
export const cpuQconv = defineOp({
  kind: "cpu.qconv",
  summary: "8-bit convolution: x u8|i8 [N, H, W, C], w i8 [O, kh, kw, C/group], bias i32 [O]?, w_scale f32 [O] or [1]",
  attrs: attrs({ ...spatial, ...group, ...activation, ...params("x"), ...result, ...params("y", true) }),
  inputs: [4, 4],
  optional: [2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, eightBit);
    needElem(ctx, 1, ["i8"]);
    needElem(ctx, 2, ["i32"]);
    needElem(ctx, 3, ["f32"]);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const type = resultType(ctx, x.elem);
    checkParams(ctx, "x", x.elem);
    checkParams(ctx, "y", type);
    return convolution(ctx, type);
  },
  cost: (_, { inputs, outputs }) => ({ macs: elementsOf(outputs[0]) * elementsOf(inputs[1]?.slice(1)), flops: 3 * elementsOf(outputs[0]) }),
  evaluate(op, inputs) {
    const [x, w] = [channelsFirst(flat(need(inputs, 0))), channelsFirst(flat(need(inputs, 1)))];
    const zero = zeroOf(op, "x");
    const sums = channelsLast(
      convolve({ dims: x.dims, at: (i) => (x.data[i] as number) - zero }, { dims: w.dims, at: (i) => w.data[i] as number }, op.attrs),
    );
    const bias = inputs[2] == null ? null : flat(need(inputs, 2)).data;
    const scales = flat(need(inputs, 3)).data;
    const type = resultType(op, need(inputs, 0).type);
    const channels = sums.dims[3] as number;
    const round = finish(op, type, (c) => scales[scales.length === 1 ? 0 : c] as number);
    const y = sums.data.map((v, i) => round(v + (bias?.[i % channels] ?? 0), i % channels));
    const out = fromNumbers(type, sums.dims, y);
    return [type === "f32" ? activate(op, out) : out];
  },
});
