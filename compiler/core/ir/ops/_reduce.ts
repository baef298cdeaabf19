/** Reductions over axes. `axes` is the second operand (empty or absent: all axes, unless noop_with_empty_axes). */
import { num } from "../graph.js";
import { defineOp, type InferContext, type Inferred, type OpDefinition } from "../op.js";
import { countOf, fromNumbers, toNumbers, zeros } from "../tensor.js";
import { type Dim, type ElementType, integerRange, isInteger, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { integers, isBig, need, normal, stridesOf, walk } from "./_eval.js";
import { axisOf, checked, needElem, numericTypes, one, product, productDim, unknown, withContent } from "./_infer.js";

function infer(ctx: InferContext): Inferred {
  const x = ctx.type(0);
  if (x === null) return unknown(ctx);
  if (x.shape === null) return one(checked(ctx, x.elem, null));
  const rank = x.shape.length;
  const keep = num(ctx.op, "keepdims", 1) === 1;
  const given = ctx.op.inputs[1] == null ? [] : (ctx.content(1) ?? null);
  if (given === null || given.some((a) => typeof a !== "number")) return one(checked(ctx, x.elem, keep ? x.shape.map(() => UNKNOWN_DIM) : null));
  if (given.length === 0 && num(ctx.op, "noop_with_empty_axes", 0) === 1) return one(checked(ctx, x.elem, x.shape));
  const axes = new Set(given.length === 0 ? x.shape.map((_, i) => i) : given.map((a) => axisOf(ctx, a as number, rank)));
  const shape = x.shape.flatMap((d, i): Dim[] => (axes.has(i) ? (keep ? [1] : []) : [d]));
  return one(checked(ctx, x.elem, shape));
}

/** The greatest or least value of nothing is the type's least or greatest. */
function startOf(type: ElementType, start: number): number {
  if (Number.isFinite(start)) return start;
  if (type === "bool") return start < 0 ? 0 : 1;
  if (!isInteger(type)) return start;
  const [low, high] = integerRange(type);
  return start < 0 ? low : high;
}

/** @param start value of an empty sum; `finish` gets the number of reduced elements */
export function reduction<K extends string>(
  kind: K,
  summary: string,
  f: {
    readonly start: number;
    readonly step: (a: number, x: number) => number;
    readonly finish?: (a: number, n: number) => number;
    readonly big?: (a: bigint, x: bigint) => bigint;
    readonly map?: (x: number) => number;
  },
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({ keepdims: bool01.optional(), noop_with_empty_axes: bool01.optional() }),
    inputs: [1, 2],
    outputs: [1, 1],
    infer(ctx) {
      needElem(ctx, 0, [...numericTypes, "bool"]);
      const inferred = infer(ctx);
      const content = ctx.content(0);
      const result = inferred.types[0];
      const whole = ctx.shape(0)?.length === 1 && result?.kind === "tensor" && (result.shape?.length === 0 || result.shape?.[0] === 1);
      if (content === null || !whole || f.finish !== undefined || f.map !== undefined) return inferred;
      if (kind === "reduce_prod") return withContent(inferred, [productDim(content)]);
      const known = content.every((d) => typeof d === "number") ? (content as readonly number[]).reduce(f.step, f.start) : UNKNOWN_DIM;
      return withContent(inferred, [known]);
    },
    cost: (_, { inputs }) => ({ macs: 0, flops: product(inputs[0] ?? []) }),
    evaluate(op, inputs) {
      const x = need(inputs, 0);
      const given = integers(inputs[1]) ?? [];
      const noop = given.length === 0 && num(op, "noop_with_empty_axes", 0) === 1;
      const axes = new Set(noop ? [] : given.length === 0 ? x.dims.map((_, i) => i) : given.map((a) => normal(a, x.dims.length)));
      const kept = x.dims.map((d, i) => (axes.has(i) ? 1 : d));
      const strides = stridesOf(kept).map((s, i) => (axes.has(i) ? 0 : s));
      const dims = num(op, "keepdims", 1) === 1 ? kept : x.dims.filter((_, i) => !axes.has(i));
      const n = countOf(x.dims) / Math.max(1, countOf(kept));
      if (isBig(x.type) && f.big !== undefined) {
        const out = zeros(x.type, dims);
        const data = out.data as BigInt64Array;
        const fresh = new Uint8Array(data.length).fill(1);
        if (Number.isFinite(f.start)) data.fill(BigInt(f.start));
        else data.fill(x.type === "u64" ? (f.start < 0 ? 0n : 2n ** 64n - 1n) : f.start < 0 ? -(2n ** 63n) : 2n ** 63n - 1n);
        walk(x.dims, strides, (offset, i) => {
          const v = (x.data as BigInt64Array)[i] as bigint;
          data[offset] = fresh[offset] && !Number.isFinite(f.start) ? v : f.big!(data[offset] as bigint, v);
          fresh[offset] = 0;
        });
        return [out];
      }
      const v = toNumbers(x);
      const out = new Float64Array(countOf(dims)).fill(startOf(x.type, f.start));
      walk(x.dims, strides, (offset, i) => {
        const e = v[i] as number;
        out[offset] = f.step(out[offset] as number, f.map === undefined ? e : f.map(e));
      });
      return [fromNumbers(x.type, dims, f.finish === undefined ? out : out.map((a) => f.finish!(a, n)))];
    },
  });
}
