import { defineOp } from "../op.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { none } from "./_attrs.js";
import { gatherStrided, integers, need, normal, stridesOf } from "./_eval.js";
import { axisOf, checked, one, unknown, withContent } from "./_infer.js";

/** Start and length along one axis, with ONNX's clamping. */
export function sliceRange(start: number, end: number, step: number, size: number): readonly [start: number, count: number] {
  const clamp = (v: number, low: number, high: number): number => Math.min(high, Math.max(low, v));
  const s = start < 0 ? start + size : start;
  const e = end < 0 ? end + size : end;
  if (step > 0) {
    const a = clamp(s, 0, size);
    return [a, Math.max(0, Math.ceil((clamp(e, 0, size) - a) / step))];
  }
  const a = clamp(s, 0, size - 1);
  return [a, Math.max(0, Math.ceil((clamp(e, -1, size - 1) - a) / step))];
}

/** Operands x, starts, ends, axes?, steps?. Source: ONNX Slice. */
export const slice = defineOp({
  kind: "slice",
  summary: "Part of a tensor by start, end and step per axis",
  attrs: none,
  inputs: [3, 5],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    if (x.shape === null) return one(checked(ctx, x.elem, null));
    const [starts, ends] = [ctx.content(1), ctx.content(2)];
    const axes = ctx.op.inputs[3] == null ? x.shape.map((_, i) => i) : ctx.content(3);
    const steps = ctx.op.inputs[4] == null ? null : ctx.content(4);
    if (axes === null || axes.some((a) => typeof a !== "number"))
      return one(
        checked(
          ctx,
          x.elem,
          x.shape.map(() => UNKNOWN_DIM),
        ),
      );
    const shape: Dim[] = [...x.shape];
    const length = starts?.length ?? ends?.length ?? axes.length;
    for (let i = 0; i < length; i++) {
      const axis = axisOf(ctx, axes[i] as number, x.shape.length);
      const [s, e, size] = [starts?.[i] ?? UNKNOWN_DIM, ends?.[i] ?? UNKNOWN_DIM, x.shape[axis] as Dim];
      const step = ctx.op.inputs[4] == null ? 1 : (steps?.[i] ?? UNKNOWN_DIM);
      if (step === 0) ctx.fail("a step is 0");
      if (typeof s === "number" && typeof e === "number" && typeof step === "number" && typeof size === "number")
        shape[axis] = sliceRange(s, e, step, size)[1];
      else shape[axis] = s === 0 && step === 1 && (e === size || (typeof e === "number" && e >= 2 ** 31 - 1)) ? size : UNKNOWN_DIM;
    }
    const content = ctx.content(0);
    const known =
      content !== null &&
      x.shape.length === 1 &&
      [starts?.[0], ends?.[0]].every((v) => typeof v === "number") &&
      (steps === null ? ctx.op.inputs[4] == null : typeof steps[0] === "number");
    const cut = (): Dim[] => {
      const step = (steps?.[0] as number | undefined) ?? 1;
      const [from, count] = sliceRange(starts?.[0] as number, ends?.[0] as number, step, (content as readonly Dim[]).length);
      return Array.from({ length: count }, (_, i) => (content as readonly Dim[])[from + i * step] as Dim);
    };
    return withContent(one(checked(ctx, x.elem, shape)), known ? cut() : undefined);
  },
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const [starts, ends] = [integers(need(inputs, 1)) as number[], integers(need(inputs, 2)) as number[]];
    const axes = integers(inputs[3]) ?? starts.map((_, i) => i);
    const steps = integers(inputs[4]) ?? starts.map(() => 1);
    const strides = stridesOf(x.dims);
    const dims = [...x.dims];
    const by = [...strides];
    let offset = 0;
    axes.forEach((a, i) => {
      const axis = normal(a, x.dims.length);
      const [from, count] = sliceRange(starts[i] as number, ends[i] as number, steps[i] as number, x.dims[axis] as number);
      dims[axis] = count;
      offset += from * (strides[axis] as number);
      by[axis] = (strides[axis] as number) * (steps[i] as number);
    });
    return [gatherStrided(x, dims, by, offset)];
  },
});
