/** Scales and zero points of quantize_linear and dequantize_linear: per tensor, along an axis, or per block along an axis. */
import { num } from "../graph.js";
import type { InferContext } from "../op.js";
import type { Shape } from "../types.js";
import { normal, stridesOf } from "./_eval.js";
import { axisOf, needEqual } from "./_infer.js";

/** Index into the scale for element `i` of a tensor with the given dims. `blockSize` 0: no blocks. */
export function scaleIndex(dims: readonly number[], scale: readonly number[], axis: number, blockSize: number): (i: number) => number {
  if (scale.every((d) => d === 1) && blockSize === 0) return () => 0;
  const at = normal(axis, dims.length);
  const inner = stridesOf(dims)[at] as number;
  const size = dims[at] as number;
  if (blockSize === 0) return (i) => Math.floor(i / inner) % size;
  const blocks = scale[at] as number;
  return (i) => {
    const along = Math.floor(i / inner) % size;
    const outer = Math.floor(i / (inner * size));
    return (outer * blocks + Math.floor(along / blockSize)) * inner + (i % inner);
  };
}

/** Rejects scales and zero points whose shape does not fit the data. */
export function checkScale(ctx: InferContext): void {
  const [x, scale, zero] = [ctx.shape(0), ctx.shape(1), ctx.shape(2)];
  if (scale !== null && zero !== null) {
    // A scalar scale with a zero point of one entry, or the other way round, is tolerated: files have it.
    const maybeOne = (s: Shape): boolean => s.every((d) => d === 1 || typeof d !== "number");
    if (scale.length !== zero.length && !(maybeOne(scale) && maybeOne(zero)))
      ctx.fail(`the scale has rank ${scale.length}, the zero point rank ${zero.length}`, "both must have one shape");
    if (scale.length === zero.length)
      scale.forEach((d, i) => {
        needEqual(ctx, d, zero[i], "the sizes of scale and zero point differ", "both must have one shape");
      });
  }
  const blockSize = num(ctx.op, "block_size", 0);
  if (blockSize < 0) ctx.fail(`block_size is ${blockSize}`, "it is 0 or more");
  if (x === null || scale === null) return;
  if (blockSize > 0) {
    if (scale.length !== x.length) ctx.fail(`blocked scales have rank ${scale.length} for data of rank ${x.length}`, "both must have one rank");
    const axis = axisOf(ctx, num(ctx.op, "axis", 1), x.length);
    scale.forEach((s, i) => {
      const d = x[i];
      const want = i !== axis ? d : typeof d === "number" ? Math.ceil(d / blockSize) : undefined;
      needEqual(ctx, s, want, `axis ${i} of the scale does not fit the data`);
    });
    return;
  }
  if (scale.every((d) => d === 1)) return;
  if (scale.length > 1) ctx.fail(`the scale has rank ${scale.length}`, "without block_size it is a scalar or a vector along the axis");
  const axis = axisOf(ctx, num(ctx.op, "axis", 1), x.length);
  needEqual(ctx, scale[0], x[axis], `the number of scales does not fit axis ${axis}`);
}
