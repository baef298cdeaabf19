import { defineOp } from "../op.js";
import { zeros } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { integers, need, stridesOf, walk } from "./_eval.js";
import { checked, one, unknown } from "./_infer.js";

export const tile = defineOp({
  kind: "tile",
  summary: "Repeats a tensor along its axes",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const repeats = ctx.content(1);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    if (repeats !== null && repeats.length !== x.shape.length) ctx.fail(`${repeats.length} repeats for rank ${x.shape.length}`);
    return one(
      checked(
        ctx,
        x.elem,
        x.shape.map((d, i): Dim => {
          const r = repeats?.[i];
          return r === 1 ? d : typeof d === "number" && typeof r === "number" ? d * r : UNKNOWN_DIM;
        }),
      ),
    );
  },
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const repeats = integers(need(inputs, 1)) as number[];
    const dims = x.dims.map((d, i) => d * (repeats[i] as number));
    const out = zeros(x.type, dims);
    const [own, steps] = [stridesOf(x.dims), stridesOf(dims)];
    walk(dims, steps, (offset) => {
      let from = 0;
      for (let a = 0; a < dims.length; a++) from += (Math.floor(offset / (steps[a] as number)) % (x.dims[a] as number)) * (own[a] as number);
      (out.data as Float32Array)[offset] = (x.data as Float32Array)[from] as number;
    });
    return [out];
  },
});
