/** What the channels-last kinds share. Operand and attribute contract: runtime-native/README.md. */
import { z } from "zod";
import { nums, type Op } from "../../graph.js";
import type { InferContext, Inferred } from "../../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../../tensor.js";
import type { Dim, ElementType, Shape } from "../../types.js";
import { float, int, ints } from "../_attrs.js";
import { stridesOf, walk } from "../_eval.js";
import { checked, needElem, needEqual, needRank, one, unknownShape, windows } from "../_infer.js";

/** Fused activation; "" is none. */
export const activation = {
  activation: z.enum(["", "relu", "clip"]).optional(),
  clip_min: float.optional(),
  clip_max: float.optional(),
};

/** What operands are rounded to before they are multiplied; sums are f32. */
export const precision = { precision: z.enum(["f32", "bf16"]).optional() };

export const spatial = { strides: ints.optional(), dilations: ints.optional(), pads: ints.optional() };

export const eightBit: readonly ElementType[] = ["u8", "i8"];

export interface Flat {
  readonly dims: readonly number[];
  readonly data: Float64Array;
}

/** Values in another axis order: result axis `i` is axis `perm[i]`. */
function permute(t: Flat, perm: readonly number[]): Flat {
  const strides = stridesOf(t.dims);
  const dims = perm.map((p) => t.dims[p] as number);
  const data = new Float64Array(t.data.length);
  walk(
    dims,
    perm.map((p) => strides[p] as number),
    (offset, i) => {
      data[i] = t.data[offset] as number;
    },
  );
  return { dims, data };
}

export const flat = (t: Tensor): Flat => ({ dims: t.dims, data: toNumbers(t) });
/** An operand of a product in the precision of the op. */
export const operand = (op: Op, t: Tensor): Flat => flat(op.attrs["precision"] === "bf16" ? fromNumbers("bf16", t.dims, toNumbers(t)) : t);
/** NHWC to NCHW; also [O, kh, kw, C/g] to [O, C/g, kh, kw]. */
export const channelsFirst = (t: Flat): Flat => permute(t, [0, 3, 1, 2]);
export const channelsLast = (t: Flat): Flat => permute(t, [0, 2, 3, 1]);

/** Output type of a convolution with x [N, H, W, C] and w [O, kh, kw, C/group]; `bias` is the number of the bias operand. */
export function convolution(ctx: InferContext, elem: ElementType, bias = 2): Inferred {
  const x = needRank(ctx, 0, 4, 4);
  const w = needRank(ctx, 1, 4, 4);
  const group = (ctx.attrs["group"] as number | undefined) ?? 1;
  if (group < 1) ctx.fail(`group is ${group}`);
  if (x === null || w === null) return one(checked(ctx, elem, unknownShape(4)));
  const [n, h, width, c] = x as [Dim, Dim, Dim, Dim];
  const [o, kh, kw, cg] = w as [Dim, Dim, Dim, Dim];
  if (typeof cg === "number")
    needEqual(ctx, c, cg * group, "data and weights differ in channels", "channels of the data are those of the weights times group");
  if (typeof o === "number" && o % group !== 0) ctx.fail(`${o} output channels do not divide into ${group} groups`);
  needEqual(ctx, needRank(ctx, bias, 1, 1)?.[0], o, "the size of the bias is not the number of output channels");
  return one(checked(ctx, elem, [n, ...windows(ctx.attrs, [h, width], [kh, kw], ctx.fail).out, o]));
}

/** Output type of a pool over [N, H, W, C]. */
export function pooled(ctx: InferContext): Inferred {
  needElem(ctx, 0, ["f32", ...eightBit]);
  const t = ctx.type(0);
  const x = needRank(ctx, 0, 4, 4);
  if (t === null) return { types: [] };
  if (x === null) return one(checked(ctx, t.elem, unknownShape(4)));
  const [n, h, w, c] = x as [Dim, Dim, Dim, Dim];
  return one(checked(ctx, t.elem, [n, ...windows(ctx.attrs, [h, w], nums(ctx.op, "kernel_shape"), ctx.fail).out, c]));
}

/** Output type of a pool over the whole image. */
export function globallyPooled(ctx: InferContext): Inferred {
  needElem(ctx, 0, ["f32", ...eightBit]);
  const t = ctx.type(0);
  const x = needRank(ctx, 0, 4, 4);
  return t === null ? { types: [] } : one(checked(ctx, t.elem, x === null ? unknownShape(4) : [x[0] as Dim, 1, 1, x[3] as Dim]));
}

/** x [..., K] times the rows of w [N, K]. */
export function rowProduct(ctx: InferContext, elem: ElementType): Inferred {
  const x = needRank(ctx, 0, 1);
  const w = needRank(ctx, 1, 2, 2);
  needEqual(ctx, x?.[x.length - 1], w?.[1], "the inner sizes differ", "the last axis of x is the second of w");
  needEqual(ctx, needRank(ctx, 2, 1, 1)?.[0], w?.[0], "the size of the bias is not the number of rows of w");
  const shape: Shape | null = x === null ? null : [...x.slice(0, -1), w?.[0] ?? "?"];
  return one(checked(ctx, elem, shape));
}

export const group = { group: int.optional() };
