import { defineOp } from "../../op.js";
import { fromNumbers, i64, toNumbers } from "../../tensor.js";
import { tensorType } from "../../types.js";
import { none } from "../_attrs.js";
import { need } from "../_eval.js";
import { floatTypes, needElem, product, unknown } from "../_infer.js";

/** f32 rounded through f16, as a gradient that is stored in half precision. The second result counts elements that are not 0, and those of them that became 0. */
export const trainRoundHalf = defineOp({
  kind: "train.round_half",
  summary: "Rounding through f16, and counts of what was not 0 and of what became 0",
  attrs: none,
  inputs: [1, 1],
  outputs: [2, 2],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = ctx.type(0);
    return x === null ? unknown(ctx) : { types: [tensorType(x.elem, x.shape), tensorType("i64", [2])] };
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const v = toNumbers(x);
    const rounded = toNumbers(fromNumbers("f16", x.dims, v));
    const nonzero = v.filter((e) => e !== 0).length;
    const flushed = v.filter((e, i) => e !== 0 && rounded[i] === 0).length;
    return [fromNumbers(x.type, x.dims, rounded), i64([nonzero, flushed])];
  },
});
