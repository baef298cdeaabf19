import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, one, unknown, withContent } from "./_infer.js";

export const range = defineOp({
  kind: "range",
  summary: "start, start + delta, … below limit",
  attrs: none,
  inputs: [3, 3],
  outputs: [1, 1],
  infer(ctx) {
    const t = ctx.type(0);
    if (t === null) return unknown(ctx);
    const known = [0, 1, 2].map((i) => {
      const constant = ctx.constant(i);
      return constant === null ? ctx.content(i)?.[0] : toNumbers(constant)[0];
    });
    const [start, limit, delta] = known as number[];
    if (!known.every((v) => typeof v === "number")) return one(checked(ctx, t.elem, [UNKNOWN_DIM]));
    if (delta === 0 || ![start, limit, delta].every(Number.isFinite))
      ctx.fail(`the range is from ${start} to ${limit} by ${delta}`, "the step must not be 0, and all must be finite");
    const n = Math.max(0, Math.ceil((limit! - start!) / delta!));
    return withContent(one(checked(ctx, t.elem, [n])), n <= 64 ? Array.from({ length: n }, (_, i) => start! + i * delta!) : undefined);
  },
  evaluate(_, inputs) {
    const [start, limit, delta] = [0, 1, 2].map((i) => toNumbers(need(inputs, i))[0] as number) as [number, number, number];
    if (delta === 0) throw new RangeError("delta is 0");
    const n = Math.max(0, Math.ceil((limit - start) / delta));
    if (n > 2 ** 28) throw new RangeError(`a range of ${n} elements is too large to evaluate`);
    return [
      fromNumbers(
        need(inputs, 0).type,
        [n],
        Array.from({ length: n }, (_, i) => start + i * delta),
      ),
    ];
  },
});
