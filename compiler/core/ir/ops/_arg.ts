/** Index of the greatest or least value along an axis. */
import { num } from "../graph.js";
import { defineOp, type OpDefinition } from "../op.js";
import { tensor, toNumbers } from "../tensor.js";
import { attrs, bool01, int } from "./_attrs.js";
import { need, normal } from "./_eval.js";
import { axisOf, checked, one, product } from "./_infer.js";

export function argOp<K extends string>(kind: K, summary: string, better: (a: number, b: number) => boolean): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({ axis: int.optional(), keepdims: bool01.optional(), select_last_index: bool01.optional() }),
    inputs: [1, 1],
    outputs: [1, 1],
    infer(ctx) {
      const s = ctx.shape(0);
      if (s === null) return one(checked(ctx, "i64", null));
      const axis = axisOf(ctx, num(ctx.op, "axis", 0), s.length);
      return one(
        checked(
          ctx,
          "i64",
          s.flatMap((d, i) => (i !== axis ? [d] : num(ctx.op, "keepdims", 1) ? [1] : [])),
        ),
      );
    },
    evaluate(op, inputs) {
      const x = need(inputs, 0);
      const axis = normal(num(op, "axis", 0), x.dims.length);
      const size = x.dims[axis] as number;
      const inner = product(x.dims.slice(axis + 1));
      const outer = product(x.dims.slice(0, axis));
      const last = num(op, "select_last_index", 0) === 1;
      const v = toNumbers(x);
      const out: number[] = [];
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < inner; i++) {
          let best = 0;
          for (let k = 1; k < size; k++) {
            const [a, b] = [v[(o * size + k) * inner + i] as number, v[(o * size + best) * inner + i] as number];
            if (better(a, b) || (last && a === b)) best = k;
          }
          out.push(best);
        }
      }
      const dims = x.dims.flatMap((d, i) => (i !== axis ? [d] : num(op, "keepdims", 1) ? [1] : []));
      return [tensor("i64", dims, out)];
    },
  });
}
