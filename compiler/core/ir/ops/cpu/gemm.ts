import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { need } from "../_eval.js";
import { elementsOf, needElem } from "../_infer.js";
import { activation, operand, precision, rowProduct } from "./_nhwc.js";

/** Each row of w is one output feature. */
export const cpuGemm = defineOp({
  kind: "cpu.gemm",
  summary: "x f32 [..., K] times w [N, K] transposed, bias [N]?, residual [..., N]?",
  attrs: attrs({ ...activation, ...precision }),
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1, 2, 3]) needElem(ctx, i, ["f32"]);
    return rowProduct(ctx, "f32");
  },
  cost: (_, { inputs, outputs }) => ({ macs: elementsOf(outputs[0]) * (inputs[1]?.[1] ?? 0), flops: 0 }),
  evaluate(op, inputs) {
    const [x, w] = [need(inputs, 0), need(inputs, 1)];
    const [n, k] = w.dims as [number, number];
    const [xv, wv] = [operand(op, x).data, operand(op, w).data];
    const [bias, residual] = [2, 3].map((i) => (inputs[i] == null ? null : toNumbers(need(inputs, i))));
    const rows = k === 0 ? x.dims.slice(0, -1).reduce((a, b) => a * b, 1) : xv.length / k;
    const y = new Float64Array(rows * n);
    for (let i = 0; i < y.length; i++) {
      const [row, column] = [Math.floor(i / n), i % n];
      let s = 0;
      for (let l = 0; l < k; l++) s += (xv[row * k + l] as number) * (wv[column * k + l] as number);
      y[i] = s + (bias?.[column] ?? 0) + (residual?.[i] ?? 0);
    }
    return [activate(op, fromNumbers("f32", [...x.dims.slice(0, -1), n], y))];
  },
});
