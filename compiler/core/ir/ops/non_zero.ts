import { defineOp } from "../op.js";
import { tensor, toNumbers } from "../tensor.js";
import { tensorType, UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { need, stridesOf } from "./_eval.js";
import { one } from "./_infer.js";

export const nonZero = defineOp({
  kind: "non_zero",
  summary: "Coordinates of the elements that are not zero, one column each",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => one(tensorType("i64", [ctx.shape(0)?.length ?? UNKNOWN_DIM, UNKNOWN_DIM])),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const hits: number[] = [];
    toNumbers(x).forEach((v, i) => {
      if (v !== 0) hits.push(i);
    });
    const strides = stridesOf(x.dims);
    return [
      tensor(
        "i64",
        [x.dims.length, hits.length],
        x.dims.flatMap((d, a) => hits.map((h) => Math.floor(h / (strides[a] as number)) % d)),
      ),
    ];
  },
});
