import { z } from "zod";
import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import type { Dim } from "../types.js";
import { attrs, bool01, fused } from "./_attrs.js";
import { activate } from "./_elementwise.js";
import { broadcastStrides, need, walk } from "./_eval.js";
import { broadcast, checked, needElem, needRank, needSameElem, numericTypes, one, product, unknown } from "./_infer.js";

/** alpha * op(a) * op(b) + beta * c, where op transposes on request. Source: ONNX Gemm. */
export const gemm = defineOp({
  kind: "gemm",
  summary: "alpha * a b + beta * c, either factor transposed on request",
  attrs: attrs({ alpha: z.number().optional(), beta: z.number().optional(), transA: bool01.optional(), transB: bool01.optional(), ...fused }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, numericTypes);
    const t = needSameElem(ctx, [0, 1, 2]);
    const a = needRank(ctx, 0, 2, 2);
    const b = needRank(ctx, 1, 2, 2);
    if (t === null) return unknown(ctx);
    if (a === null || b === null) return one(checked(ctx, t.elem, null));
    const [m, k] = num(ctx.op, "transA", 0) ? [a[1], a[0]] : a;
    const [l, n] = num(ctx.op, "transB", 0) ? [b[1], b[0]] : b;
    if (typeof k === "number" && typeof l === "number" && k !== l)
      ctx.fail(`inner sizes are ${k} and ${l}`, "a must have as many columns as b has rows, after transposition");
    const shape = [m as Dim, n as Dim];
    if (ctx.shape(2) !== null && broadcast(ctx, [shape, ctx.shape(2)])?.length !== 2) ctx.fail("c does not broadcast to the result");
    return one(checked(ctx, t.elem, shape));
  },
  cost: (op, { inputs, outputs }) => ({ macs: product(outputs[0] ?? []) * (inputs[0]?.[num(op, "transA", 0) ? 0 : 1] ?? 1), flops: 0 }),
  evaluate(op, inputs) {
    const [a, b, c] = [need(inputs, 0), need(inputs, 1), inputs[2] ?? null];
    const [ta, tb] = [num(op, "transA", 0) === 1, num(op, "transB", 0) === 1];
    const [m, k] = (ta ? [a.dims[1], a.dims[0]] : a.dims) as [number, number];
    const n = (tb ? b.dims[0] : b.dims[1]) as number;
    const [av, bv] = [toNumbers(a), toNumbers(b)];
    const y = new Float64Array(m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let s = 0;
        for (let l = 0; l < k; l++) s += (av[ta ? l * m + i : i * k + l] as number) * (bv[tb ? j * k + l : l * n + j] as number);
        y[i * n + j] = num(op, "alpha", 1) * s;
      }
    }
    if (c !== null) {
      const cv = toNumbers(c);
      walk([m, n], broadcastStrides(c.dims, [m, n]), (offset, i) => {
        y[i]! += num(op, "beta", 1) * (cv[offset] as number);
      });
    }
    return [activate(op, fromNumbers(a.type, [m, n], y))];
  },
});
