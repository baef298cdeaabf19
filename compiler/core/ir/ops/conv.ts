import { z } from "zod";
import { nums } from "../graph.js";
import { defineOp, type InferContext } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import type { Dim, Shape } from "../types.js";
import { attrs, fused, int, window } from "./_attrs.js";
import { activate } from "./_elementwise.js";
import { need } from "./_eval.js";
import { checked, floatTypes, needElem, needRank, needSameElem, one, product, unknown, windows } from "./_infer.js";
import { convolve } from "./_window.js";

/** Output shape of a convolution with x [N, C, …] and w [O, C/group, …]. */
export function convShape(ctx: InferContext, x: Shape | null, w: Shape | null): Shape | null {
  if (x === null || w === null) return null;
  if (w.length !== x.length) ctx.fail(`the data has rank ${x.length}, the weights rank ${w.length}`, "both must have one rank");
  const group = (ctx.attrs["group"] as number | undefined) ?? 1;
  const [n, c, ...spatial] = x as [Dim, Dim, ...Dim[]];
  const [o, cg, ...kernel] = w as [Dim, Dim, ...Dim[]];
  if (group < 1) ctx.fail(`group is ${group}`);
  if (typeof c === "number" && typeof cg === "number" && c !== cg * group) {
    ctx.fail(
      `the data has ${c} channels, the weights take ${cg} in each of ${group} groups`,
      "input channels must equal weight channels times group",
    );
  }
  if (typeof o === "number" && o % group !== 0) ctx.fail(`${o} output channels do not divide into ${group} groups`);
  const given = nums(ctx.op, "kernel_shape");
  const known = kernel.map((k, i) => (typeof k === "number" ? k : (given[i] ?? k)));
  if (given.length > 0 && given.join() !== known.join()) ctx.fail(`kernel_shape is [${given.join(", ")}], the weights are [${w.join(", ")}]`);
  return [n, o, ...windows(ctx.attrs, spatial, known, ctx.fail).out];
}

/** Convolution, any number of spatial axes, groups and dilations. Source: ONNX Conv; operand 3 (`residual`) and the activation come from fusion passes. */
export const conv = defineOp({
  kind: "conv",
  summary: "Convolution: x [N, C, …], w [O, C/group, …], bias [O]?, residual?",
  attrs: attrs({ ...window, group: int.optional(), ...fused, clip_min: z.number().optional() }),
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = needRank(ctx, 0, 3);
    const w = needRank(ctx, 1, 3);
    const t = needSameElem(ctx, [0, 1, 2, 3]);
    const bias = needRank(ctx, 2, 1, 1);
    if (typeof bias?.[0] === "number" && typeof w?.[0] === "number" && bias[0] !== w[0])
      ctx.fail(`the bias has ${bias[0]} entries for ${w[0]} output channels`);
    return t === null ? unknown(ctx) : one(checked(ctx, t.elem, convShape(ctx, x, w)));
  },
  cost(_, { inputs, outputs }) {
    const [, ...perOutput] = inputs[1] ?? [];
    return { macs: product(outputs[0] ?? []) * product(perOutput), flops: 0 };
  },
  evaluate(op, inputs) {
    const [x, w, bias, residual] = [need(inputs, 0), need(inputs, 1), inputs[2] ?? null, inputs[3] ?? null];
    const [xv, wv] = [toNumbers(x), toNumbers(w)];
    const y = convolve({ dims: x.dims, at: (i) => xv[i] as number }, { dims: w.dims, at: (i) => wv[i] as number }, op.attrs);
    const area = product(y.dims.slice(2));
    const b = bias === null ? null : toNumbers(bias);
    const r = residual === null ? null : toNumbers(residual);
    y.data.forEach((v, i) => {
      y.data[i] = v + (b === null ? 0 : (b[Math.floor(i / area) % (y.dims[1] as number)] as number)) + (r === null ? 0 : (r[i] as number));
    });
    return [activate(op, fromNumbers(x.type, y.dims, y.data))];
  },
});
