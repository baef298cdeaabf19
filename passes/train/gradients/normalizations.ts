/** Normalizations, and fake quantization. */
import { type Dim, fromNumbers, num, type Value } from "../../../compiler/core/index.js";
import {
  type Gradient,
  type GradientContext,
  ints,
  mul,
  neg,
  normalAxis,
  rankOf,
  reduceSum,
  reshapeLike,
  scalar,
  shapeOf,
  sub,
  sumTo,
  typeOf,
} from "./context.js";

/** A vector of channels, to broadcast over [N, C, …]. */
const perChannel = (g: GradientContext, v: Value, like: Value): Value => {
  const after = rankOf(like) - 2;
  return after <= 0
    ? v
    : g.value("unsqueeze", [
        v,
        ints(
          g,
          Array.from({ length: after }, (_, i) => i + 1),
        ),
      ]);
};
const overChannels = (g: GradientContext, v: Value): Value =>
  reduceSum(
    g,
    v,
    shapeOf(v).flatMap((_, i) => (i === 1 ? [] : [i])),
    0,
  );
const filled = (g: GradientContext, like: Value, value: number): Value => {
  const n = shapeOf(like)[0];
  return typeof n === "number"
    ? g.constant(fromNumbers(typeOf(like).elem, [n], new Array<number>(n).fill(value)))
    : g.reject("the number of channels is not known");
};

/** Instance and group normalization: layer normalization of each group, then a scale and shift per channel. */
const grouped = (groups: (g: GradientContext) => number): Gradient => ({
  rule(g) {
    const dy = g.dy();
    if (dy === null) return;
    const [x, scale, bias] = [g.x(0), g.x(1), g.x(2)];
    const epsilon = num(g.kind, "epsilon", 1e-5);
    g.add(0, () => {
      const rows = (v: Value): Value => g.value("reshape", [v, ints(g, [0, groups(g), -1])]);
      const scaled = mul(g, dy, perChannel(g, scale, x));
      const dx = g.value("train.layer_norm_backward", [rows(scaled), rows(x)], { axis: -1, epsilon });
      return reshapeLike(g, dx, x);
    });
    g.add(1, () => overChannels(g, mul(g, dy, g.value(g.kind.kind, [x, filled(g, scale, 1), filled(g, bias, 0)], g.kind.attrs))));
    g.add(2, () => overChannels(g, dy));
  },
});

export const normalizations = {
  /** By given statistics: an affine map per channel. In training mode the pass has made it `train.batch_norm`. */
  batch_normalization: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      if (num(g.kind, "training_mode", 0) === 1) g.reject("it is in training mode; autodiff should have expanded it");
      const [x, scale, mean, variance] = [g.x(0), g.x(1), g.x(3), g.x(4)];
      const inv = g.value("reciprocal", [g.value("sqrt", [g.value("add", [variance, scalar(g, num(g.kind, "epsilon", 1e-5), variance)])])]);
      const factor = mul(g, scale, inv);
      g.add(0, () => mul(g, dy, perChannel(g, factor, x)));
      const centred = (): Value => sub(g, x, perChannel(g, mean, x));
      g.add(1, () => mul(g, overChannels(g, mul(g, dy, centred())), inv));
      g.add(2, () => overChannels(g, dy));
      g.add(3, () => neg(g, mul(g, overChannels(g, dy), factor)));
      g.add(4, () => mul(g, mul(g, overChannels(g, mul(g, dy, centred())), mul(g, factor, mul(g, inv, inv))), -0.5));
    },
  },
  "train.batch_norm": {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      if ([1, 2, 3, 4].some((i) => g.dy(i) !== null)) g.reject("the loss depends on its statistics");
      if (!g.needs(0) && !g.needs(1) && !g.needs(2)) return;
      const { activation, channels_last } = g.kind.attrs;
      const attrs = { ...(activation === undefined ? {} : { activation }), ...(channels_last === undefined ? {} : { channels_last }) };
      const back = g.op("train.batch_norm_backward", [dy, g.x(0), g.x(1), g.x(2), g.y(3), g.y(4)], attrs, 3);
      [0, 1, 2].forEach((i) => {
        g.add(i, () => back.outputs[i] as Value);
      });
    },
  },
  layer_normalization: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      if (g.dy(1) !== null || g.dy(2) !== null) g.reject("the loss depends on its statistics");
      const [x, scale] = [g.x(0), g.x(1)];
      const axis = normalAxis(num(g.kind, "axis", -1), rankOf(x));
      const normalized = shapeOf(x).slice(axis);
      const same = shapeOf(scale).length === normalized.length && shapeOf(scale).every((d, i) => d === (normalized[i] as Dim));
      const epsilon = num(g.kind, "epsilon", 1e-5);
      const attrs = { axis, epsilon };
      if (same) {
        const back = g.op("train.layer_norm_backward", [dy, x, scale], attrs, 3);
        [0, 1, 2].forEach((i) => {
          g.add(i, () => back.outputs[i] as Value);
        });
        return;
      }
      // A scale that is broadcast in another way goes into dy first.
      g.add(0, () => g.value("train.layer_norm_backward", [mul(g, dy, scale), x], attrs));
      g.add(1, () => sumTo(g, mul(g, dy, g.value("layer_normalization", [x, scalar(g, 1, x)], g.kind.attrs)), scale, g.reject));
      g.add(2, () => dy);
    },
  },
  instance_normalization: grouped((g) => {
    const c = shapeOf(g.x(0))[1];
    return typeof c === "number" ? c : g.reject("the number of channels is not known");
  }),
  group_normalization: grouped((g) => num(g.kind, "num_groups", 1)),
  /** Estimators, not derivatives: see train.fake_quantize_backward. `lsq_gradient_scale` 0: the scale follows x, and takes no gradient. */
  "train.fake_quantize": {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const learned = g.needs(1) && num(g.kind, "lsq_gradient_scale", 1) !== 0;
      const back = g.op("train.fake_quantize_backward", [dy, ...g.kind.inputs], g.kind.attrs, learned ? 2 : 1);
      g.add(0, () => back.outputs[0] as Value);
      if (learned) g.add(1, () => back.outputs[1] as Value);
    },
  },
} satisfies Record<string, Gradient>;
