import { z } from "zod";
import { type Attrs, num, nums, str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01, ints } from "./_attrs.js";
import { integers, need, normal } from "./_eval.js";
import { axisOf, checked, one, product, unknown } from "./_infer.js";

/** Position in the input of output index `i` along one axis. Source: ONNX Resize, coordinate_transformation_mode. */
export function sourcePosition(mode: string, i: number, inSize: number, outSize: number, scale: number, roiStart: number, roiEnd: number): number {
  switch (mode) {
    case "align_corners":
      return outSize === 1 ? 0 : (i * (inSize - 1)) / (outSize - 1);
    case "asymmetric":
      return i / scale;
    case "pytorch_half_pixel":
      return outSize > 1 ? (i + 0.5) / scale - 0.5 : 0;
    case "half_pixel_symmetric": {
      const adjustment = outSize / (inSize * scale);
      const center = inSize / 2;
      return center * (1 - adjustment) + (i + 0.5) / scale - 0.5;
    }
    case "tf_half_pixel_for_nn":
      return (i + 0.5) / scale;
    case "tf_crop_and_resize":
      return outSize > 1
        ? roiStart * (inSize - 1) + (i * (roiEnd - roiStart) * (inSize - 1)) / (outSize - 1)
        : 0.5 * (roiStart + roiEnd) * (inSize - 1);
    default:
      return (i + 0.5) / scale - 0.5;
  }
}

const nearestOf = (mode: string, p: number): number => {
  switch (mode) {
    case "round_prefer_ceil":
      return Math.floor(p + 0.5);
    case "floor":
      return Math.floor(p);
    case "ceil":
      return Math.ceil(p);
    default:
      return Math.ceil(p - 0.5);
  }
};

/** Taps (input index, weight) of one output position along an axis. `null`: outside, extrapolated. */
function tapsOf(
  op: { readonly attrs: Attrs },
  i: number,
  inSize: number,
  outSize: number,
  scale: number,
  roi: readonly [number, number],
): { readonly at: number; readonly weight: number }[] | null {
  const transform = str(op, "coordinate_transformation_mode", "half_pixel");
  const mode = str(op, "mode", "nearest");
  const p = sourcePosition(transform, i, inSize, outSize, scale, roi[0], roi[1]);
  if (transform === "tf_crop_and_resize" && (p < 0 || p > inSize - 1)) return null;
  const clamp = (v: number): number => Math.min(inSize - 1, Math.max(0, v));
  if (mode === "nearest") return [{ at: clamp(nearestOf(str(op, "nearest_mode", "round_prefer_floor"), p)), weight: 1 }];
  const antialias = num(op, "antialias", 0) === 1 && scale < 1;
  const stretch = antialias ? 1 / scale : 1;
  const a = num(op, "cubic_coeff_a", -0.75);
  const kernel = (x: number): number => {
    const t = Math.abs(x);
    if (mode === "linear") return Math.max(0, 1 - t);
    if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
    return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
  };
  const reach = mode === "linear" ? 1 : 2;
  const exclude = num(op, "exclude_outside", 0) === 1;
  const base = Math.floor(p);
  // Taps that reach over the edge read the edge value, unless they are excluded; an antialiased kernel is widened by 1 / scale.
  const first = Math.floor(-reach * stretch) + 1;
  const taps: { at: number; weight: number }[] = [];
  for (let k = base + first; k < base + first + 2 - 2 * first; k++) {
    const w = exclude && (k < 0 || k >= inSize) ? 0 : kernel((k - p) / stretch);
    if (w !== 0) taps.push({ at: clamp(k), weight: w });
  }
  const sum = taps.reduce((n, t) => n + t.weight, 0);
  return taps.map((t) => ({ at: t.at, weight: exclude || antialias ? t.weight / sum : t.weight }));
}

const axesOf = (op: { readonly attrs: Attrs }, rank: number): number[] =>
  op.attrs["axes"] === undefined ? Array.from({ length: rank }, (_, i) => i) : nums(op, "axes").map((a) => normal(a, rank));

/** Sizes and scales per axis from the operands scales (2) or sizes (3). */
function target(
  op: { readonly attrs: Attrs },
  dims: readonly number[],
  scales: readonly number[] | null,
  sizes: readonly number[] | null,
): { readonly dims: number[]; readonly scales: number[] } {
  const axes = axesOf(op, dims.length);
  const out = [...dims];
  const by = dims.map(() => 1);
  if (sizes !== null) {
    const policy = str(op, "keep_aspect_ratio_policy", "stretch");
    const ratios = axes.map((a, i) => (sizes[i] as number) / (dims[a] as number));
    const common = policy === "not_larger" ? Math.min(...ratios) : policy === "not_smaller" ? Math.max(...ratios) : null;
    axes.forEach((a, i) => {
      out[a] = common === null ? (sizes[i] as number) : Math.floor((dims[a] as number) * common + 0.5);
      by[a] = common ?? (ratios[i] as number);
    });
  } else {
    axes.forEach((a, i) => {
      out[a] = Math.floor((dims[a] as number) * (scales?.[i] as number));
      by[a] = scales?.[i] as number;
    });
  }
  return { dims: out, scales: by };
}

const present = (t: Tensor | null | undefined): Tensor | null => (t == null || t.data.length === 0 ? null : t);

/** Operands x, roi?, scales?, sizes?. Source: ONNX Resize. */
export const resize = defineOp({
  kind: "resize",
  summary: "Resamples to other sizes: nearest, linear or cubic",
  attrs: attrs({
    mode: z.enum(["nearest", "linear", "cubic"]).optional(),
    coordinate_transformation_mode: z.string().optional(),
    nearest_mode: z.string().optional(),
    cubic_coeff_a: z.number().optional(),
    exclude_outside: bool01.optional(),
    extrapolation_value: z.number().optional(),
    antialias: bool01.optional(),
    axes: ints.optional(),
    keep_aspect_ratio_policy: z.string().optional(),
  }),
  inputs: [1, 4],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    const { shape } = x;
    for (const a of nums(ctx.op, "axes")) axisOf(ctx, a, shape.length);
    const policy = str(ctx.op, "keep_aspect_ratio_policy", "stretch");
    const sizes = ctx.content(3);
    const scales = present(ctx.constant(2));
    const axes = axesOf(ctx.op, shape.length);
    if (sizes !== null && sizes.length === axes.length && axes.some((a) => typeof shape[a] !== "number"))
      return one(
        checked(
          ctx,
          x.elem,
          shape.map((d, i): Dim => {
            if (!axes.includes(i)) return d;
            // The sizes are bounds only where the aspect ratio is kept: then all resized axes must be known.
            return policy === "stretch" ? (sizes[axes.indexOf(i)] as Dim) : UNKNOWN_DIM;
          }),
        ),
      );
    const known = sizes !== null && sizes.length > 0 && sizes.every((s) => typeof s === "number") ? (sizes as number[]) : null;
    if (known === null && scales === null)
      return one(
        checked(
          ctx,
          x.elem,
          shape.map((d, i): Dim => (axes.includes(i) ? UNKNOWN_DIM : d)),
        ),
      );
    const s = scales === null ? null : Array.from(toNumbers(scales));
    if ((known ?? s)?.length !== axes.length) ctx.fail(`${(known ?? s)?.length} sizes or scales for ${axes.length} axes`);
    if (s?.some((v) => !(v > 0))) ctx.fail(`scales are [${s.join(", ")}]`, "scales must be above 0");
    return one(
      checked(
        ctx,
        x.elem,
        shape.map((d, i): Dim => {
          if (typeof d === "number")
            return target(
              ctx.op,
              shape.map((e) => (typeof e === "number" ? e : 1)),
              s,
              known,
            ).dims[i] as number;
          const at = axes.indexOf(i);
          return at < 0 || s?.[at] === 1 ? d : UNKNOWN_DIM;
        }),
      ),
    );
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 8 * product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const scaleOperand = present(inputs[2]);
    const { dims, scales } = target(op, x.dims, scaleOperand === null ? null : Array.from(toNumbers(scaleOperand)), integers(present(inputs[3])));
    const roiValues = present(inputs[1]);
    const roi = roiValues === null ? null : toNumbers(roiValues);
    const axes = axesOf(op, dims.length);
    let v = toNumbers(x);
    let shape = [...x.dims];
    const extrapolated = new Set<string>();
    for (let a = 0; a < dims.length; a++) {
      const [inSize, outSize] = [x.dims[a] as number, dims[a] as number];
      const r = axes.indexOf(a);
      const span: readonly [number, number] = roi === null || r < 0 ? [0, 1] : [roi[r] as number, roi[r + axes.length] as number];
      if (inSize === outSize && scales[a] === 1 && str(op, "coordinate_transformation_mode", "") !== "tf_crop_and_resize") continue;
      const inner = product(shape.slice(a + 1));
      const next = new Float64Array(product(shape.slice(0, a)) * outSize * inner);
      for (let i = 0; i < outSize; i++) {
        const taps = tapsOf(op, i, inSize, outSize, scales[a] as number, span);
        if (taps === null) {
          extrapolated.add(`${a}:${i}`);
          continue;
        }
        for (let o = 0; o < product(shape.slice(0, a)); o++) {
          for (let j = 0; j < inner; j++) {
            let s = 0;
            for (const t of taps) s += t.weight * (v[(o * inSize + t.at) * inner + j] as number);
            next[(o * outSize + i) * inner + j] = s;
          }
        }
      }
      v = next;
      shape = shape.map((d, i) => (i === a ? outSize : d));
    }
    if (extrapolated.size > 0) {
      const fill = num(op, "extrapolation_value", 0);
      for (let i = 0; i < v.length; i++) {
        let rest = i;
        for (let a = dims.length - 1; a >= 0; a--) {
          if (extrapolated.has(`${a}:${rest % (dims[a] as number)}`)) v[i] = fill;
          rest = Math.floor(rest / (dims[a] as number));
        }
      }
    }
    return [fromNumbers(x.type, dims, v)];
  },
});
