import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { need } from "../_eval.js";
import { elementsOf, needElem } from "../_infer.js";
import { convolve } from "../_window.js";
import { activation, channelsFirst, channelsLast, convolution, group, operand, precision, spatial } from "./_nhwc.js";

/** act(conv(x, w) + bias + residual), channels last. */
export const cpuConv = defineOp({
  kind: "cpu.conv",
  summary: "Convolution: x f32 [N, H, W, C], w [O, kh, kw, C/group], bias [O]?, residual [N, OH, OW, O]?",
  attrs: attrs({ ...spatial, ...group, ...activation, ...precision }),
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1, 2, 3]) needElem(ctx, i, ["f32"]);
    return convolution(ctx, "f32");
  },
  cost: (_, { inputs, outputs }) => ({ macs: elementsOf(outputs[0]) * elementsOf(inputs[1]?.slice(1)), flops: 0 }),
  evaluate(op, inputs) {
    const [x, w] = [channelsFirst(operand(op, need(inputs, 0))), channelsFirst(operand(op, need(inputs, 1)))];
    const y = channelsLast(convolve({ dims: x.dims, at: (i) => x.data[i] as number }, { dims: w.dims, at: (i) => w.data[i] as number }, op.attrs));
    const [bias, residual] = [2, 3].map((i) => (inputs[i] == null ? null : toNumbers(need(inputs, i))));
    const sums = y.data.map((v, i) => v + (bias?.[i % bias.length] ?? 0) + (residual?.[i] ?? 0));
    return [activate(op, fromNumbers("f32", y.dims, sums))];
  },
});
