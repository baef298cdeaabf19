import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { need } from "../_eval.js";
import { elementsOf, needElem, unknown } from "../_infer.js";
import { activation, eightBit, rowProduct } from "./_nhwc.js";
import { checkParams, finish, params, result, resultType, zeroOf } from "./_q.js";

/** Operands x, w, bias?, w_scale. */
export const cpuQgemm = defineOp({
  kind: "cpu.qgemm",
  summary: "x u8|i8 [..., K] times w i8 [N, K] transposed, bias i32 [N]?, w_scale f32 [N] or [1]",
  attrs: attrs({ ...activation, ...params("x"), ...result, ...params("y", true) }),
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
    return rowProduct(ctx, type);
  },
  cost: (_, { inputs, outputs }) => ({ macs: elementsOf(outputs[0]) * (inputs[1]?.[1] ?? 0), flops: 3 * elementsOf(outputs[0]) }),
  evaluate(op, inputs) {
    const [x, w] = [need(inputs, 0), need(inputs, 1)];
    const [n, k] = w.dims as [number, number];
    const [xv, wv] = [toNumbers(x), toNumbers(w)];
    const bias = inputs[2] == null ? null : toNumbers(need(inputs, 2));
    const scales = toNumbers(need(inputs, 3));
    const zero = zeroOf(op, "x");
    const type = resultType(op, x.type);
    const round = finish(op, type, (c) => scales[scales.length === 1 ? 0 : c] as number);
    const rows = k === 0 ? x.dims.slice(0, -1).reduce((a, b) => a * b, 1) : xv.length / k;
    const y = new Float64Array(rows * n);
    for (let i = 0; i < y.length; i++) {
      const [row, column] = [Math.floor(i / n), i % n];
      let s = bias?.[column] ?? 0;
      for (let l = 0; l < k; l++) s += ((xv[row * k + l] as number) - zero) * (wv[column * k + l] as number);
      y[i] = round(s, column);
    }
    const out = fromNumbers(type, [...x.dims.slice(0, -1), n], y);
    return [type === "f32" ? activate(op, out) : out];
  },
});
