/** Convolutions and pools. */
import { type Attrs, fromNumbers, isStatic, num, nums, type Shape, str, type Value } from "../../../compiler/core/index.js";
import { div, expandLike, type Gradient, type GradientContext, ints, masked, mul, reduceSum, shapeOf, typeOf } from "./context.js";

interface Window {
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
  readonly pads: readonly number[];
  readonly kernel: readonly number[];
}

const spatialOf = (g: GradientContext, v: Value): readonly number[] => {
  const s = shapeOf(v).slice(2);
  return isStatic(s) ? s : g.reject(`the size of the images %${v.name} is not known before it runs`);
};
const list = (g: GradientContext, name: string, v: number, n: number): readonly number[] =>
  nums(g.kind, name).length > 0 ? nums(g.kind, name) : new Array<number>(n).fill(v);

/** The window with explicit pads. */
function windowOf(g: GradientContext, spatial: readonly number[], kernel: Shape): Window {
  if (!isStatic(kernel)) return g.reject("the size of its kernel is not known before it runs");
  const n = kernel.length;
  const [strides, dilations] = [list(g, "strides", 1, n), list(g, "dilations", 1, n)];
  const auto = str(g.kind, "auto_pad", "NOTSET");
  if (auto === "NOTSET") return { strides, dilations, pads: list(g, "pads", 0, 2 * n), kernel };
  if (auto === "VALID") return { strides, dilations, pads: new Array<number>(2 * n).fill(0), kernel };
  const totals = kernel.map((k, i) => {
    const [size, s, d] = [spatial[i] as number, strides[i] as number, dilations[i] as number];
    return Math.max(0, (Math.ceil(size / s) - 1) * s + (k - 1) * d + 1 - size);
  });
  const [small, large] = [totals.map((t) => Math.floor(t / 2)), totals.map((t) => Math.ceil(t / 2))];
  return { strides, dilations, pads: auto === "SAME_UPPER" ? [...small, ...large] : [...large, ...small], kernel };
}
const attrsOf = ({ strides, dilations, pads }: Window): Attrs => ({ strides, dilations, pads });

/** What conv_transpose must add at the ends so that its result has the size of the convolution's input. */
const missing = (w: Window, size: readonly number[], out: readonly number[]): number[] =>
  size.map((s, i) => {
    const n = w.kernel.length;
    const full = ((out[i] as number) - 1) * (w.strides[i] as number) + (w.dilations[i] as number) * ((w.kernel[i] as number) - 1) + 1;
    return s - (full - (w.pads[i] as number) - (w.pads[i + n] as number));
  });

/** Sum over everything but the channels. */
const overChannels = (g: GradientContext, dy: Value): Value =>
  reduceSum(
    g,
    dy,
    shapeOf(dy).flatMap((_, i) => (i === 1 ? [] : [i])),
    0,
  );

/** dx of a window op with weights of ones: each dy goes to all elements of its window. */
function spread(g: GradientContext, dy: Value, w: Window, size: readonly number[]): Value {
  const channels = shapeOf(dy)[1];
  if (typeof channels !== "number") return g.reject("the number of channels is not known before it runs");
  const ones = g.constant(
    fromNumbers(typeOf(dy).elem, [channels, 1, ...w.kernel], new Array<number>(channels * w.kernel.reduce((a, b) => a * b, 1)).fill(1)),
  );
  const extra = missing(w, size, spatialOf(g, dy));
  // A window that reaches beyond the padding (ceil_mode) wants less, not more: cut that off.
  const cut = extra.map((e) => Math.max(0, -e));
  const padding = extra.map((e) => Math.max(0, e));
  const full = g.value("conv_transpose", [dy, ones], {
    ...attrsOf(w),
    group: channels,
    ...(padding.some((p) => p > 0) ? { output_padding: padding } : {}),
  });
  if (cut.every((c) => c === 0)) return full;
  const axes = size.map((_, i) => i + 2);
  return g.value("slice", [
    full,
    ints(
      g,
      axes.map(() => 0),
    ),
    ints(g, size),
    ints(g, axes),
  ]);
}

export const convolutions = {
  conv: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const [x, w] = [g.x(0), g.x(1)];
      const size = spatialOf(g, x);
      const window = windowOf(g, size, shapeOf(w).slice(2));
      const group = num(g.kind, "group", 1);
      g.add(0, () => {
        const extra = missing(window, size, spatialOf(g, dy));
        return g.value("conv_transpose", [dy, w], { ...attrsOf(window), group, ...(extra.some((e) => e !== 0) ? { output_padding: extra } : {}) });
      });
      g.add(1, () => g.value("train.conv_backward_weights", [x, dy], { ...attrsOf(window), kernel_shape: window.kernel, group }));
      g.add(2, () => overChannels(g, dy));
      g.add(3, () => dy);
    },
  },
  conv_transpose: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      if (g.kind.attrs["output_shape"] !== undefined || str(g.kind, "auto_pad", "NOTSET") !== "NOTSET")
        g.reject("its output shape is given instead of pads");
      const [x, w] = [g.x(0), g.x(1)];
      const kernel = shapeOf(w).slice(2);
      const window = windowOf(g, spatialOf(g, x), kernel);
      const extra = list(g, "output_padding", 0, kernel.length);
      // What output_padding added is read by no window of the convolution back.
      const attrs = { ...attrsOf(window), group: num(g.kind, "group", 1) };
      const inner = extra.some((e) => e !== 0)
        ? g.value("slice", [
            dy,
            ints(
              g,
              kernel.map(() => 0),
            ),
            ints(
              g,
              spatialOf(g, x).map((s, i) => back(window, s, i) + Math.min(extra[i] as number, (window.strides[i] as number) - 1)),
            ),
            ints(
              g,
              kernel.map((_, i) => i + 2),
            ),
          ])
        : dy;
      g.add(0, () => g.value("conv", [inner, w], attrs));
      g.add(1, () => g.value("train.conv_backward_weights", [inner, x], { ...attrs, kernel_shape: window.kernel }));
      g.add(2, () => overChannels(g, dy));
    },
  },
  max_pool: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const kernel = nums(g.kind, "kernel_shape");
      const window = windowOf(g, spatialOf(g, g.x(0)), kernel);
      g.add(0, () =>
        g.value("train.max_pool_backward", [g.x(0), dy], { ...attrsOf(window), kernel_shape: kernel, ceil_mode: num(g.kind, "ceil_mode", 0) }),
      );
    },
  },
  average_pool: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const size = spatialOf(g, g.x(0));
      const window = windowOf(g, size, nums(g.kind, "kernel_shape"));
      const counts = averageCounts(window, size, spatialOf(g, dy), num(g.kind, "count_include_pad", 0) === 1);
      const divisor = g.constant(fromNumbers(typeOf(dy).elem, [1, 1, ...spatialOf(g, dy)], counts));
      g.add(0, () => spread(g, div(g, dy, divisor), window, size));
    },
  },
  global_average_pool: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const area = spatialOf(g, g.x(0)).reduce((a, b) => a * b, 1);
      g.add(0, () => expandLike(g, mul(g, dy, 1 / area), g.x(0)));
    },
  },
  global_max_pool: {
    rule(g) {
      const dy = g.dy();
      if (dy === null) return;
      const x = g.x(0);
      g.add(0, () => {
        const hits = g.value("equal", [x, g.y()]);
        const axes = shapeOf(x).flatMap((_, i) => (i < 2 ? [] : [i]));
        return masked(g, hits, div(g, dy, g.value("reduce_sum", [g.value("cast_like", [hits, dy]), ints(g, axes)], { keepdims: 1 })));
      });
    },
  },
  lp_pool: { unsupported: "there is no rule for p-norms of windows" },
} satisfies Record<string, Gradient>;

/** Size along axis `i` that a transposed convolution without output_padding gives. */
const back = (w: Window, size: number, i: number): number =>
  (size - 1) * (w.strides[i] as number) +
  (w.dilations[i] as number) * ((w.kernel[i] as number) - 1) +
  1 -
  (w.pads[i] as number) -
  (w.pads[i + w.kernel.length] as number);

/** Divisor of the average at each output position, row-major. */
function averageCounts(w: Window, size: readonly number[], out: readonly number[], includePad: boolean): Float64Array {
  const perAxis = out.map((n, a) =>
    Array.from({ length: n }, (_, o) => {
      let count = 0;
      for (let k = 0; k < (w.kernel[a] as number); k++) {
        const p = o * (w.strides[a] as number) - (w.pads[a] as number) + k * (w.dilations[a] as number);
        const limit = (size[a] as number) + (includePad ? (w.pads[a + w.kernel.length] as number) : 0);
        if (p < limit && (includePad || p >= 0)) count++;
      }
      return count;
    }),
  );
  const counts = new Float64Array(out.reduce((a, b) => a * b, 1));
  counts.forEach((_, i) => {
    let [rest, n] = [i, 1];
    for (let a = out.length - 1; a >= 0; a--) {
      n *= perAxis[a]?.[rest % (out[a] as number)] as number;
      rest = Math.floor(rest / (out[a] as number));
    }
    counts[i] = n;
  });
  return counts;
}
