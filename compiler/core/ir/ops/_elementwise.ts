/** Families of element-wise kinds: one call per kind in its own file. */
import type { z } from "zod";
import type { Attrs, Op } from "../graph.js";
import { defineOp, type OpDefinition } from "../op.js";
import { countOf, fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { type Dim, type ElementType, elementTypes, sameDim, UNKNOWN_DIM } from "../types.js";
import { fused, none, attrs as schema } from "./_attrs.js";
import { type BigMap, mapTensors, type NumberMap, need } from "./_eval.js";
import { broadcastOp, floatTypes, like, mapContent, needElem, numericTypes, withContent } from "./_infer.js";

const count = (shapes: readonly (readonly number[])[]): number => countOf(shapes[0] ?? []);

/** One operand, same type and shape. `flops` per element is a rough weight for cost tables. */
export function unary<K extends string>(
  kind: K,
  summary: string,
  f: (x: number, op: Op, type: ElementType) => number,
  options: {
    readonly attrs?: z.ZodType<Attrs>;
    readonly flops?: number;
    /** For 64-bit integers; a kind that has it takes all numbers, others floats, unless `types` says so. */
    readonly big?: (x: bigint) => bigint;
    readonly types?: readonly ElementType[];
  } = {},
): OpDefinition & { readonly kind: K } {
  const types = options.types ?? (options.big === undefined ? floatTypes : numericTypes);
  return defineOp({
    kind,
    summary,
    attrs: options.attrs ?? none,
    inputs: [1, 1],
    outputs: [1, 1],
    infer(ctx) {
      needElem(ctx, 0, types);
      return withContent(like(ctx), options.big === undefined ? undefined : mapContent([ctx.content(0)], ([x]) => f(x as number, ctx.op, "i64")));
    },
    cost: (_, { outputs }) => ({ macs: 0, flops: count(outputs) * (options.flops ?? 1) }),
    evaluate(op, inputs) {
      const x = need(inputs, 0);
      const { big } = options;
      if (big !== undefined && (x.type === "i64" || x.type === "u64")) return [{ ...x, data: (x.data as BigInt64Array).map(big) }];
      return [
        fromNumbers(
          x.type,
          x.dims,
          toNumbers(x).map((v) => f(v, op, x.type)),
        ),
      ];
    },
  });
}

/** Two operands of one type, NumPy broadcasting; the result has their type. */
export function arithmetic<K extends string>(
  kind: K,
  summary: string,
  f: (a: number, b: number, isInteger: boolean) => number,
  big: BigMap | undefined,
  options: { readonly attrs?: z.ZodType<Attrs>; readonly symbolic?: (values: readonly Dim[]) => Dim } = {},
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: options.attrs ?? none,
    inputs: [2, 2],
    outputs: [1, 1],
    infer: (ctx) =>
      withContent(
        broadcastOp(ctx, undefined, numericTypes),
        mapContent([ctx.content(0), ctx.content(1)], ([a, b]) => f(a as number, b as number, true), options.symbolic),
      ),
    cost: (_, { outputs }) => ({ macs: 0, flops: count(outputs) }),
    evaluate(op, inputs) {
      const a = need(inputs, 0);
      const b = need(inputs, 1);
      const integer = elementTypes[a.type].kind === "int" || elementTypes[a.type].kind === "uint";
      return [
        activate(
          op,
          mapTensors([a, b], a.type, (x, y) => f(x as number, y as number, integer), big),
        ),
      ];
    },
  });
}

/** Two operands of one type, result bool. */
export function comparison<K extends string>(
  kind: K,
  summary: string,
  f: NumberMap,
  big: ((a: bigint, b: bigint) => boolean) | undefined,
  options: { readonly symbolic?: (values: readonly Dim[]) => Dim; readonly types?: readonly ElementType[] } = {},
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: none,
    inputs: [2, 2],
    outputs: [1, 1],
    infer: (ctx) =>
      withContent(
        broadcastOp(ctx, "bool", options.types ?? numericTypes),
        mapContent([ctx.content(0), ctx.content(1)], (v) => Number(f(...v)), options.symbolic),
      ),
    cost: (_, { outputs }) => ({ macs: 0, flops: count(outputs) }),
    evaluate(_, inputs) {
      const a = need(inputs, 0);
      const b = need(inputs, 1);
      if (a.type === "string") {
        const x = a.data as readonly string[];
        const y = b.data as readonly string[];
        const index: Tensor = mapTensors([range(a), range(b)], "bool", (i, j) => (x[i as number] === y[j as number] ? 1 : 0));
        return [index];
      }
      return [mapTensors([a, b], "bool", f, big as ((...v: bigint[]) => boolean) | undefined)];
    },
  });
}

const range = (t: Tensor): Tensor => ({ type: "f64", dims: t.dims, data: Float64Array.from({ length: t.data.length }, (_, i) => i) });

/** One or more operands of one type. */
export function variadic<K extends string>(kind: K, summary: string, f: NumberMap, big: BigMap | undefined): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: none,
    inputs: [1, Number.POSITIVE_INFINITY],
    outputs: [1, 1],
    infer: (ctx) =>
      withContent(
        broadcastOp(ctx, undefined, numericTypes),
        mapContent(
          Array.from({ length: ctx.inputCount }, (_, i) => ctx.content(i)),
          (v) => f(...v),
          (v) => (v.every((d) => sameDim(d, v[0] as Dim)) ? (v[0] as Dim) : UNKNOWN_DIM),
        ),
      ),
    cost: (op, { outputs }) => ({ macs: 0, flops: count(outputs) * Math.max(1, op.inputs.length - 1) }),
    evaluate(_, inputs) {
      const all = inputs.map((_, i) => need(inputs, i));
      return [mapTensors(all, (all[0] as Tensor).type, f, big)];
    },
  });
}

/** The fused activation of an op, on its finished result. */
export function activate(op: { readonly attrs: Attrs }, t: Tensor): Tensor {
  const { activation } = op.attrs;
  if (activation === undefined) return t;
  const low = activation === "relu" ? 0 : Number(op.attrs["clip_min"] ?? Number.NEGATIVE_INFINITY);
  const high = activation === "relu" ? Number.POSITIVE_INFINITY : Number(op.attrs["clip_max"] ?? Number.POSITIVE_INFINITY);
  return fromNumbers(
    t.type,
    t.dims,
    toNumbers(t).map((v) => Math.min(high, Math.max(low, v))),
  );
}

export const fusedAttrs = schema(fused);
