import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { zeros } from "../tensor.js";
import { attrs, bool01 } from "./_attrs.js";
import { integers, need } from "./_eval.js";
import { like } from "./_infer.js";

export const trilu = defineOp({
  kind: "trilu",
  summary: "Upper or lower triangle of the last two axes, the rest zero",
  attrs: attrs({ upper: bool01.optional() }),
  inputs: [1, 2],
  outputs: [1, 1],
  infer: (ctx) => like(ctx),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const k = integers(inputs[1])?.[0] ?? 0;
    const [rows, columns] = x.dims.slice(-2) as [number, number];
    const upper = num(op, "upper", 1) === 1;
    const out = zeros(x.type, x.dims);
    for (let i = 0; i < x.data.length; i++) {
      const [r, c] = [Math.floor(i / columns) % rows, i % columns];
      if (upper ? c - r >= k : c - r <= k) (out.data as Float32Array)[i] = (x.data as Float32Array)[i] as number;
    }
    return [out];
  },
});
