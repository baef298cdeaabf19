import { num, type Op, str } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, type Tensor } from "../../tensor.js";
import type { ElementType } from "../../types.js";
import { attrs, elem, int } from "../_attrs.js";
import { activate } from "../_elementwise.js";
import { mapTensors, need } from "../_eval.js";
import { elementsOf, needElem, unknown } from "../_infer.js";
import { convolve } from "../_window.js";
import { activation, channelsFirst, channelsLast, convolution, eightBit, flat, group, spatial } from "./_nhwc.js";
import { addition, checkParams, finish, limits, params, result, resultType, stepsOf, toQ, zeroOf } from "./_q.js";

/** What a fused addition of `residual` is done with: the convolution's own result, in steps of y, is its first operand unless `residual_first`. */
const sum = {
  ...params("sum", true),
  sum_min: int.optional(),
  sum_max: int.optional(),
  sum_type: elem.optional(),
  ...params("residual", true),
  residual_first: int.optional(),
};

const sumType = (op: { readonly attrs: Op["attrs"] }, y: ElementType): ElementType => str(op, "sum_type", y) as ElementType;

/** The convolution's result and the residual added as cpu.qadd adds them. */
function added(op: Op, y: Tensor, residual: Tensor): Tensor {
  const type = sumType(op, y.type);
  const [a, b] = num(op, "residual_first", 0) === 1 ? (["residual", "y"] as const) : (["y", "residual"] as const);
  const real = addition({ a: stepsOf(op, a), b: stepsOf(op, b), y: stepsOf(op, "sum") });
  const clamp = limits(op, type, "sum");
  const operands = { y, residual };
  return mapTensors([operands[a], operands[b]], type, (u, v) => toQ(real(u as number, v as number), 0, clamp));
}

/** Padding contributes the zero point of x, that is real 0. Operands x, w, bias?, w_scale, residual?. */
export const cpuQconv = defineOp({
  kind: "cpu.qconv",
  summary:
    "8-bit convolution: x u8|i8 [N, H, W, C], w i8 [O, kh, kw, C/group], bias i32 [O]?, w_scale f32 [O] or [1], residual of the result's shape?",
  attrs: attrs({ ...spatial, ...group, ...activation, ...params("x"), ...result, ...params("y", true), ...sum }),
  inputs: [4, 5],
  optional: [2, 4],
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
    if (ctx.type(4) === null) return convolution(ctx, type);
    needElem(ctx, 4, eightBit);
    const total = sumType(ctx, type);
    if (!eightBit.includes(type) || !eightBit.includes(total)) ctx.fail(`it adds ${type} to make ${total}`, "a residual is added in u8 or i8");
    checkParams(ctx, "residual", ctx.type(4)?.elem);
    checkParams(ctx, "sum", total);
    return convolution(ctx, total);
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
    return [type === "f32" ? activate(op, out) : inputs[4] == null ? out : added(op, out, inputs[4])];
  },
});
