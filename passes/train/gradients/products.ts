/** Matrix products. */
import { num, str, type Value } from "../../../compiler/core/index.js";
import { type Gradient, type GradientContext, ints, mul, rankOf, reshapeLike, shapeOf, sumTo } from "./context.js";

/** The last two axes swapped. */
function swapped(g: GradientContext, v: Value): Value {
  const rank = rankOf(v);
  const perm = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i));
  return g.value("transpose", [v], { perm });
}
const matmul = (g: GradientContext, a: Value, b: Value): Value => g.value("matmul", [a, b]);

export const products = {
  matmul: {
    rule(g) {
      let dy = g.dy();
      if (dy === null) return;
      let [a, b] = [g.x(0), g.x(1)];
      const [aVector, bVector] = [rankOf(a) === 1, rankOf(b) === 1];
      if (bVector) dy = g.value("unsqueeze", [dy, ints(g, [rankOf(dy)])]);
      if (aVector) dy = g.value("unsqueeze", [dy, ints(g, [rankOf(dy) - 1])]);
      if (aVector) a = g.value("unsqueeze", [a, ints(g, [0])]);
      if (bVector) b = g.value("unsqueeze", [b, ints(g, [1])]);
      const out = dy;
      const toOperand = (i: number, v: Value, like: Value): Value => {
        const sum = sumTo(g, v, like, g.reject);
        return like === g.x(i) ? sum : reshapeLike(g, sum, g.x(i));
      };
      g.add(0, () => toOperand(0, matmul(g, out, swapped(g, b)), a));
      g.add(1, () => {
        // One matrix for all batches: rows and batches are one axis, and the product sums over it.
        if (rankOf(b) === 2 && rankOf(a) > 2) {
          const rows = (v: Value): Value => g.value("reshape", [v, ints(g, [-1, last(g, v)])]);
          return toOperand(1, g.value("gemm", [rows(a), rows(out)], { transA: 1 }), b);
        }
        return rankOf(a) === 2 && rankOf(b) === 2
          ? toOperand(1, g.value("gemm", [a, out], { transA: 1 }), b)
          : toOperand(1, matmul(g, swapped(g, a), out), b);
      });
    },
  },
  gemm: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const [a, b] = [g.x(0), g.x(1)];
      const [ta, tb] = [num(g.kind, "transA", 0) === 1, num(g.kind, "transB", 0) === 1];
      const [alpha, beta] = [num(g.kind, "alpha", 1), num(g.kind, "beta", 1)];
      const product = (x: Value, tx: boolean, y: Value, ty: boolean): Value =>
        g.value("gemm", [x, y], { ...(alpha === 1 ? {} : { alpha }), ...(tx ? { transA: 1 } : {}), ...(ty ? { transB: 1 } : {}) });
      g.add(0, () => (ta ? product(b, tb, dy, true) : product(dy, false, b, !tb)));
      g.add(1, () => (tb ? product(dy, true, a, ta) : product(a, !ta, dy, false)));
      g.add(2, () => (beta === 1 ? dy : mul(g, dy, beta)));
    },
  },
  einsum: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const equation = str(g.kind, "equation", "").replaceAll(" ", "");
      const [left = "", right] = equation.split("->");
      const terms = left.split(",");
      if (right === undefined || equation.includes(".")) g.reject("its equation has an ellipsis or no `->`");
      if (terms.some((t) => new Set(t).size !== t.length)) g.reject("an operand of it repeats an index");
      terms.forEach((term, i) => {
        const others = terms.filter((_, k) => k !== i);
        if ([...term].some((c) => !right?.includes(c) && !others.some((o) => o.includes(c)))) g.reject(`it sums an index of operand ${i} alone`);
        g.add(i, () =>
          g.value("einsum", [dy, ...terms.flatMap((_, k) => (k === i ? [] : [g.x(k)]))], { equation: `${[right, ...others].join(",")}->${term}` }),
        );
      });
    },
  },
} satisfies Record<string, Gradient>;

function last(g: GradientContext, v: Value): number {
  const d = shapeOf(v).at(-1);
  return typeof d === "number" ? d : g.reject(`the last axis of %${v.name} is not known before it runs`);
}
