/** Arithmetic with broadcasting, comparisons' branches, and unary functions. */
import { constantTensor, flag, num, toNumbers } from "../../../compiler/core/index.js";
import { add, div, type Gradient, type GradientContext, masked, mul, neg, rankOf, scalar, sub } from "./context.js";

type Value = ReturnType<GradientContext["y"]>;

/** One operand: f gives dx from dy. */
const unary = (f: (g: GradientContext, dy: Value, x: Value, y: Value) => Value): Gradient => ({
  rule(g) {
    const dy = g.dy();
    if (dy !== null) g.add(0, () => f(g, dy, g.x(0), g.y()));
  },
});
/** dx = dy * f'(x). */
const times = (f: (g: GradientContext, x: Value, y: Value) => Value): Gradient => unary((g, dy, x, y) => mul(g, dy, f(g, x, y)));
const square = (g: GradientContext, v: Value): Value => mul(g, v, v);
/** a + b * v */
const affine = (g: GradientContext, a: number, b: number, v: Value): Value => add(g, mul(g, v, b), a);
const where = (g: GradientContext, c: Value, a: Value, b: Value): Value => g.value("where", [c, a, b]);
const above = (g: GradientContext, v: Value, limit: number): Value => g.value("greater", [v, scalar(g, limit, v)]);
const sigmoid = (g: GradientContext, v: Value): Value => g.value("sigmoid", [v]);

/** Of several operands, those that equal the result share its gradient: all of it for one, equal parts at ties (as PyTorch). */
const extreme: Gradient = {
  rule(g) {
    const dy = g.dy();
    if (dy === null) return;
    const operands = g.kind.inputs.map((_, i) => g.x(i));
    if (operands.length === 1) return g.add(0, () => dy);
    const hits = operands.map((x) => g.value("equal", [x, g.y()]));
    const counts = hits.map((h) => g.value("cast_like", [h, dy]));
    const total = counts.slice(1).reduce((a, b) => add(g, a, b), counts[0] as Value);
    const share = div(g, dy, total);
    hits.forEach((h, i) => {
      g.add(i, () => masked(g, h, share));
    });
  },
};

const sumOf = (scale: (g: GradientContext) => number): Gradient => ({
  rule(g) {
    const dy = g.dy();
    if (dy === null) return;
    const by = scale(g);
    g.kind.inputs.forEach((_, i) => {
      g.add(i, () => (by === 1 ? dy : mul(g, dy, by)));
    });
  },
});

export const elementwise = {
  add: sumOf(() => 1),
  sum: sumOf(() => 1),
  mean: sumOf((g) => 1 / g.kind.inputs.length),
  sub: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      g.add(0, () => dy);
      g.add(1, () => neg(g, dy));
    },
  },
  mul: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      g.add(0, () => mul(g, dy, g.x(1)));
      g.add(1, () => mul(g, dy, g.x(0)));
    },
  },
  div: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      g.add(0, () => div(g, dy, g.x(1)));
      g.add(1, () => neg(g, mul(g, dy, div(g, g.y(), g.x(1)))));
    },
  },
  pow: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const [x, p] = [g.x(0), g.x(1)];
      g.add(0, () => {
        const constant = constantTensor(p);
        if (constant !== null && constant.data.length === 1 && toNumbers(constant)[0] === 2) return mul(g, dy, mul(g, x, 2));
        const exponent = g.value("cast_like", [p, x]);
        return mul(g, dy, mul(g, exponent, g.value("pow", [x, sub(g, exponent, scalar(g, 1, x))])));
      });
      // x^p log x, and 0 at x = 0 as its limit for p > 0.
      g.add(1, () => {
        const positive = above(g, x, 0);
        const log = g.value("log", [where(g, positive, x, scalar(g, 1, x))]);
        return mul(g, dy, masked(g, positive, mul(g, g.y(), log)));
      });
    },
  },
  max: extreme,
  min: extreme,
  where: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      g.add(1, () => masked(g, g.x(0), dy));
      g.add(2, () => where(g, g.x(0), scalar(g, 0, dy), dy));
    },
  },
  clip: unary((g, dy, x) => {
    const bounds = [g.kind.inputs[1], g.kind.inputs[2]] as const;
    const above = bounds[0] == null ? null : g.value("greater_or_equal", [x, bounds[0]]);
    const below = bounds[1] == null ? null : g.value("less_or_equal", [x, bounds[1]]);
    const inside = above === null || below === null ? (above ?? below) : g.value("and", [above, below]);
    return inside === null ? dy : masked(g, inside, dy);
  }),
  identity: unary((_, dy) => dy),
  cast: unary((g, dy, x) => g.value("cast_like", [dy, x])),
  cast_like: unary((g, dy, x) => g.value("cast_like", [dy, x])),
  neg: unary((g, dy) => neg(g, dy)),
  abs: times((g, x) => g.value("sign", [x])),
  reciprocal: unary((g, dy, _, y) => neg(g, mul(g, dy, square(g, y)))),
  sqrt: unary((g, dy, _, y) => div(g, dy, mul(g, y, 2))),
  exp: times((_, __, y) => y),
  log: unary((g, dy, x) => div(g, dy, x)),
  sin: times((g, x) => g.value("cos", [x])),
  cos: unary((g, dy, x) => neg(g, mul(g, dy, g.value("sin", [x])))),
  tan: times((g, _, y) => affine(g, 1, 1, square(g, y))),
  asin: unary((g, dy, x) => div(g, dy, g.value("sqrt", [affine(g, 1, -1, square(g, x))]))),
  acos: unary((g, dy, x) => neg(g, div(g, dy, g.value("sqrt", [affine(g, 1, -1, square(g, x))])))),
  atan: unary((g, dy, x) => div(g, dy, affine(g, 1, 1, square(g, x)))),
  sinh: times((g, x) => g.value("cosh", [x])),
  cosh: times((g, x) => g.value("sinh", [x])),
  asinh: unary((g, dy, x) => div(g, dy, g.value("sqrt", [affine(g, 1, 1, square(g, x))]))),
  acosh: unary((g, dy, x) => div(g, dy, g.value("sqrt", [affine(g, -1, 1, square(g, x))]))),
  atanh: unary((g, dy, x) => div(g, dy, affine(g, 1, -1, square(g, x)))),
  erf: times((g, x) => mul(g, g.value("exp", [neg(g, square(g, x))]), 2 / Math.sqrt(Math.PI))),
  relu: unary((g, dy, _, y) => g.value("train.relu_backward", [dy, y])),
  sigmoid: times((g, _, y) => mul(g, y, affine(g, 1, -1, y))),
  tanh: times((g, _, y) => affine(g, 1, -1, square(g, y))),
  softplus: times((g, x) => sigmoid(g, x)),
  softsign: times((g, x) => g.value("reciprocal", [square(g, affine(g, 1, 1, g.value("abs", [x])))])),
  leaky_relu: unary((g, dy, x) => where(g, above(g, x, 0), dy, mul(g, dy, num(g.kind, "alpha", 0.01)))),
  thresholded_relu: unary((g, dy, x) => masked(g, above(g, x, num(g.kind, "alpha", 1)), dy)),
  elu: unary((g, dy, x, y) => where(g, above(g, x, 0), dy, mul(g, dy, affine(g, num(g.kind, "alpha", 1), 1, y)))),
  celu: unary((g, dy, x, y) => where(g, above(g, x, 0), dy, mul(g, dy, affine(g, 1, 1 / num(g.kind, "alpha", 1), y)))),
  selu: unary((g, dy, x, y) => {
    const [alpha, gamma] = [num(g.kind, "alpha", 1.6732632423543772), num(g.kind, "gamma", 1.0507009873554805)];
    return where(g, above(g, x, 0), mul(g, dy, gamma), mul(g, dy, affine(g, alpha * gamma, 1, y)));
  }),
  hard_sigmoid: unary((g, dy, _, y) => {
    const inside = g.value("and", [above(g, y, 0), g.value("less", [y, scalar(g, 1, y)])]);
    return masked(g, inside, mul(g, dy, num(g.kind, "alpha", 0.2)));
  }),
  hard_swish: unary((g, dy, x) => {
    const inside = mul(g, dy, affine(g, 0.5, 1 / 3, x));
    return masked(g, above(g, x, -3), where(g, above(g, x, 3), dy, inside));
  }),
  mish: times((g, x) => {
    const t = g.value("tanh", [g.value("softplus", [x])]);
    return add(g, t, mul(g, mul(g, x, sigmoid(g, x)), affine(g, 1, -1, square(g, t))));
  }),
  gelu: times((g, x) => {
    if (g.kind.attrs["approximate"] === "tanh") {
      const k = Math.sqrt(2 / Math.PI);
      const t = g.value("tanh", [mul(g, mul(g, x, affine(g, 1, 0.044715, square(g, x))), k)]);
      const inner = affine(g, k, 3 * 0.044715 * k, square(g, x));
      return add(g, affine(g, 0.5, 0.5, t), mul(g, mul(g, mul(g, x, 0.5), affine(g, 1, -1, square(g, t))), inner));
    }
    const cdf = affine(g, 0.5, 0.5, g.value("erf", [mul(g, x, Math.SQRT1_2)]));
    const pdf = mul(g, g.value("exp", [mul(g, square(g, x), -0.5)]), 1 / Math.sqrt(2 * Math.PI));
    return add(g, cdf, mul(g, x, pdf));
  }),
  prelu: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const positive = above(g, g.x(0), 0);
      g.add(0, () => where(g, positive, dy, mul(g, dy, g.x(1))));
      g.add(1, () => where(g, positive, scalar(g, 0, dy), mul(g, dy, g.x(0))));
    },
  },
  dropout: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const training = g.kind.inputs[2];
      const mode = training == null ? null : constantTensor(training);
      if (training != null && (mode === null || toNumbers(mode)[0] !== 0)) g.reject("it is in training mode: its mask is random and not kept");
      g.add(0, () => dy);
    },
  },
  "train.dropout": unary((g, dy) => g.value("train.dropout", [dy, g.x(1)], g.kind.attrs)),
  cum_sum: unary((g, dy) => g.value("cum_sum", [dy, g.x(1)], { ...g.kind.attrs, reverse: flag(g.kind, "reverse") ? 0 : 1 })),
  trilu: unary((g, dy) => g.value("trilu", [dy, g.kind.inputs[1] ?? null], g.kind.attrs)),
  softmax: unary((g, dy, _, y) => {
    const dot = g.value("reduce_sum", [mul(g, dy, y), axisOperand(g)], { keepdims: 1 });
    return mul(g, y, sub(g, dy, dot));
  }),
  log_softmax: unary((g, dy, _, y) => {
    const sum = g.value("reduce_sum", [dy, axisOperand(g)], { keepdims: 1 });
    return sub(g, dy, mul(g, g.value("exp", [y]), sum));
  }),
} satisfies Record<string, Gradient>;

const axisOperand = (g: GradientContext): Value => {
  const axis = num(g.kind, "axis", -1);
  return g.constant({ type: "i64", dims: [1], data: new BigInt64Array([BigInt(axis < 0 ? axis + rankOf(g.x(0)) : axis)]) });
};
