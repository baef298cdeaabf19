import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { toNumbers, zeros } from "../tensor.js";
import { UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, one, product, unknown } from "./_infer.js";

/** Operands indices, depth, values [off, on]. */
export const oneHot = defineOp({
  kind: "one_hot",
  summary: "One axis of `depth` entries with the on value at the index",
  attrs: attrs({ axis: int.optional() }),
  inputs: [3, 3],
  outputs: [1, 1],
  infer(ctx) {
    const t = ctx.type(2);
    const s = ctx.shape(0);
    if (t === null) return unknown(ctx);
    if (s === null) return one(checked(ctx, t.elem, null));
    const axis = num(ctx.op, "axis", -1);
    const at = axis < 0 ? axis + s.length + 1 : axis;
    if (at < 0 || at > s.length) ctx.fail(`axis ${axis} is outside rank ${s.length + 1}`);
    const depth = ctx.constant(1);
    const known = depth === null ? undefined : Math.trunc(toNumbers(depth)[0] as number);
    return one(checked(ctx, t.elem, [...s.slice(0, at), known ?? ctx.content(1)?.[0] ?? UNKNOWN_DIM, ...s.slice(at)]));
  },
  evaluate(op, inputs) {
    const [indices, values] = [need(inputs, 0), need(inputs, 2)];
    const depth = Math.trunc(toNumbers(need(inputs, 1))[0] as number);
    const axis = num(op, "axis", -1);
    const at = axis < 0 ? axis + indices.dims.length + 1 : axis;
    const out = zeros(values.type, [...indices.dims.slice(0, at), depth, ...indices.dims.slice(at)]);
    const [off, on] = values.data as Float32Array;
    (out.data as Float32Array).fill(off as number);
    const inner = product(indices.dims.slice(at));
    toNumbers(indices).forEach((raw, i) => {
      const v = Math.trunc(raw);
      const k = v < 0 ? v + depth : v;
      if (k >= 0 && k < depth) (out.data as Float32Array)[(Math.floor(i / inner) * depth + k) * inner + (i % inner)] = on as number;
    });
    return [out];
  },
});
