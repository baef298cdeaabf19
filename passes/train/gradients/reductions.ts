/** Reductions: the gradient goes back to every element, weighted. */
import { contentOf, num, type Value } from "../../../compiler/core/index.js";
import { div, expandLike, type Gradient, type GradientContext, ints, masked, mul, neg, normalAxis, rankOf, scalar, shapeOf, sub } from "./context.js";

/** Axes of the reduction; `null` where nothing is reduced. */
function axesOf(g: GradientContext): readonly number[] | null {
  const rank = rankOf(g.x(0));
  const operand = g.kind.inputs[1];
  const given = operand == null ? [] : contentOf(operand);
  if (given === null || !given.every((a) => typeof a === "number")) return g.reject("its axes are computed");
  if (given.length === 0) return num(g.kind, "noop_with_empty_axes", 0) === 1 ? null : Array.from({ length: rank }, (_, i) => i);
  return given.map((a) => normalAxis(a as number, rank));
}

interface Reduced {
  readonly dy: Value;
  readonly x: Value;
  /** The result with the reduced axes kept. */
  readonly y: Value;
  /** Elements in each sum; rejects where that is only known at run time. */
  count(): number;
}

const reduction = (f: (g: GradientContext, r: Reduced) => Value): Gradient => ({
  rule(g) {
    const dy = g.dy();
    if (dy === null) return;
    const axes = axesOf(g);
    const x = g.x(0);
    const keep = (v: Value): Value =>
      axes === null || num(g.kind, "keepdims", 1) === 1 || axes.length === 0 ? v : g.value("unsqueeze", [v, ints(g, axes)]);
    const count = (): number =>
      (axes ?? []).reduce((n, a) => {
        const d = shapeOf(x)[a];
        return typeof d === "number" ? n * d : g.reject(`the size of axis ${a} is not known`);
      }, 1);
    g.add(0, () =>
      f(g, {
        dy: keep(dy),
        x,
        get y() {
          return keep(g.y());
        },
        count,
      }),
    );
  },
});

/** Elements that equal the result share its gradient in equal parts (as PyTorch's amax). */
const extreme = reduction((g, { dy, x, y }) => {
  const hits = g.value("equal", [x, y]);
  const axes = axesOf(g);
  const counts = axes === null ? null : g.value("reduce_sum", [g.value("cast_like", [hits, dy]), ints(g, axes)], { keepdims: 1 });
  return masked(g, hits, counts === null ? dy : div(g, dy, counts));
});

export const reductions = {
  reduce_sum: reduction((g, { dy, x }) => expandLike(g, dy, x)),
  reduce_mean: reduction((g, { dy, x, count }) => {
    // Where the batch is open the count is taken at run time: the mean of ones times the elements is 1.
    const open = (axesOf(g) ?? []).some((a) => typeof shapeOf(x)[a] !== "number");
    if (!open) return expandLike(g, mul(g, dy, 1 / count()), x);
    const size = g.value("cast_like", [g.value("size", [x]), dy]);
    const kept = g.value("cast_like", [g.value("size", [dy]), dy]);
    return expandLike(g, div(g, mul(g, dy, kept), size), x);
  }),
  reduce_max: extreme,
  reduce_min: extreme,
  reduce_l1: reduction((g, { dy, x }) => mul(g, dy, g.value("sign", [x]))),
  reduce_l2: reduction((g, { dy, x, y }) => {
    const zero = g.value("equal", [y, scalar(g, 0, y)]);
    return mul(g, x, g.value("where", [zero, scalar(g, 0, y), div(g, dy, g.value("where", [zero, scalar(g, 1, y), y]))]));
  }),
  reduce_sum_square: reduction((g, { dy, x }) => mul(g, dy, mul(g, x, 2))),
  reduce_log_sum: reduction((g, { dy, x, y }) => expandLike(g, mul(g, dy, g.value("exp", [neg(g, y)])), x)),
  reduce_log_sum_exp: reduction((g, { dy, x, y }) => mul(g, dy, g.value("exp", [sub(g, x, y)]))),
  reduce_prod: { unsupported: "the product of the other factors is not computed where one is 0: write it as exp(sum(log x))" },
} satisfies Record<string, Gradient>;
