import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { attrs, bool01 } from "./_attrs.js";
import { integers, need, normal } from "./_eval.js";
import { like, product } from "./_infer.js";

export const cumSum = defineOp({
  kind: "cum_sum",
  summary: "Running sums along an axis (operand 1)",
  attrs: attrs({ exclusive: bool01.optional(), reverse: bool01.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer: (ctx) => like(ctx),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const axis = normal(integers(need(inputs, 1))?.[0] as number, x.dims.length);
    const size = x.dims[axis] as number;
    const inner = product(x.dims.slice(axis + 1));
    const v = toNumbers(x);
    const y = new Float64Array(v.length);
    const [reverse, exclusive] = [num(op, "reverse", 0) === 1, num(op, "exclusive", 0) === 1];
    for (let o = 0; o < product(x.dims.slice(0, axis)); o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let k = 0; k < size; k++) {
          const at = (o * size + (reverse ? size - 1 - k : k)) * inner + i;
          if (exclusive) y[at] = sum;
          sum += v[at] as number;
          if (!exclusive) y[at] = sum;
        }
      }
    }
    return [fromNumbers(x.type, x.dims, y)];
  },
});
