/** Pools over windows and over whole images. */
import { num, nums } from "../graph.js";
import { defineOp, type InferContext, type Inferred, type OpDefinition } from "../op.js";
import { fromNumbers, tensor, toNumbers } from "../tensor.js";
import { type Dim, type ElementType, type Type, tensorType } from "../types.js";
import { attrs, bool01, int, window } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, floatTypes, needElem, needRank, one, product, unknown, windows } from "./_infer.js";
import { geometry, visitWindows } from "./_window.js";

function poolInfer(ctx: InferContext, allowed: readonly ElementType[] = floatTypes): Inferred {
  needElem(ctx, 0, allowed);
  const t = ctx.type(0);
  const x = needRank(ctx, 0, 3);
  if (t === null) return unknown(ctx);
  if (x === null) return one(tensorType(t.elem, null));
  const [n, c, ...spatial] = x as [Dim, Dim, ...Dim[]];
  const kernel = nums(ctx.op, "kernel_shape");
  if (kernel.length === 0) ctx.fail("kernel_shape is missing");
  const shape = [n, c, ...windows(ctx.attrs, spatial, kernel, ctx.fail).out];
  const types: Type[] = [checked(ctx, t.elem, shape)];
  if (ctx.outputCount > 1) types.push(tensorType("i64", shape));
  return { types };
}

const poolAttrs = { ...window, ceil_mode: bool01.optional() };
const poolCost: NonNullable<OpDefinition["cost"]> = (op, { outputs }) => ({
  macs: 0,
  flops: product(outputs[0] ?? []) * product(nums(op, "kernel_shape")),
});

/** Max pooling, with indices as second output. Source: ONNX MaxPool. */
export const maxPool = defineOp({
  kind: "max_pool",
  summary: "Greatest value of each window; optionally its index",
  attrs: attrs({ ...poolAttrs, storage_order: bool01.optional() }),
  inputs: [1, 1],
  outputs: [1, 2],
  infer: (ctx) => poolInfer(ctx, [...floatTypes, "i8", "u8"]),
  cost: poolCost,
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [n = 1, c = 1, ...spatial] = x.dims;
    const g = geometry(op.attrs, spatial, nums(op, "kernel_shape"));
    const [area, outs] = [product(spatial), product(g.out)];
    const xv = toNumbers(x);
    const y = new Float64Array(n * c * outs).fill(Number.NEGATIVE_INFINITY);
    const index = new Array<number>(y.length).fill(0);
    const columnMajor = num(op, "storage_order", 0) === 1;
    const flat = (input: number): number => {
      if (!columnMajor) return input;
      let [rest, at, scale] = [input, 0, 1];
      const coordinates = spatial.map(() => 0);
      for (let a = spatial.length - 1; a >= 0; a--) {
        coordinates[a] = rest % (spatial[a] as number);
        rest = Math.floor(rest / (spatial[a] as number));
      }
      coordinates.forEach((v, a) => {
        at += v * scale;
        scale *= spatial[a] as number;
      });
      return at;
    };
    visitWindows(g, spatial, (o, _, input) => {
      if (input < 0) return;
      for (let p = 0; p < n * c; p++) {
        const v = xv[p * area + input] as number;
        if (v > (y[p * outs + o] as number)) {
          y[p * outs + o] = v;
          index[p * outs + o] = p * area + flat(input);
        }
      }
    });
    const dims = [n, c, ...g.out];
    const values = fromNumbers(x.type, dims, y);
    return op.outputs.length > 1 ? [values, tensor("i64", dims, index)] : [values];
  },
});

/** Average pooling. Source: ONNX AveragePool. */
export const averagePool = defineOp({
  kind: "average_pool",
  summary: "Mean of each window",
  attrs: attrs({ ...poolAttrs, count_include_pad: bool01.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => poolInfer(ctx),
  cost: poolCost,
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [n = 1, c = 1, ...spatial] = x.dims;
    const g = geometry(op.attrs, spatial, nums(op, "kernel_shape"));
    const [area, outs] = [product(spatial), product(g.out)];
    const xv = toNumbers(x);
    const y = new Float64Array(n * c * outs);
    const counts = new Float64Array(outs);
    const includePad = num(op, "count_include_pad", 0) === 1;
    visitWindows(g, spatial, (o, _, input, counted) => {
      if (input >= 0 || (includePad && counted)) counts[o]!++;
      if (input >= 0) for (let p = 0; p < n * c; p++) y[p * outs + o]! += xv[p * area + input] as number;
    });
    return [
      fromNumbers(
        x.type,
        [n, c, ...g.out],
        y.map((v, i) => v / (counts[i % outs] as number)),
      ),
    ];
  },
});

export const lpPool = defineOp({
  kind: "lp_pool",
  summary: "p-norm of each window",
  attrs: attrs({ ...poolAttrs, p: int.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => poolInfer(ctx),
  cost: poolCost,
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [n = 1, c = 1, ...spatial] = x.dims;
    const g = geometry(op.attrs, spatial, nums(op, "kernel_shape"));
    const [area, outs, p] = [product(spatial), product(g.out), num(op, "p", 2)];
    const xv = toNumbers(x);
    const y = new Float64Array(n * c * outs);
    visitWindows(g, spatial, (o, _, input) => {
      if (input >= 0) for (let q = 0; q < n * c; q++) y[q * outs + o]! += Math.abs(xv[q * area + input] as number) ** p;
    });
    return [
      fromNumbers(
        x.type,
        [n, c, ...g.out],
        y.map((v) => v ** (1 / p)),
      ),
    ];
  },
});

export function globalPool<K extends string>(
  kind: K,
  summary: string,
  start: number,
  step: (a: number, b: number) => number,
  finish: (v: number, area: number) => number,
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({}),
    inputs: [1, 1],
    outputs: [1, 1],
    infer(ctx) {
      const t = ctx.type(0);
      const x = needRank(ctx, 0, 3);
      return t === null ? unknown(ctx) : one(checked(ctx, t.elem, x === null ? null : x.map((d, i) => (i < 2 ? d : 1))));
    },
    cost: (_, { inputs }) => ({ macs: 0, flops: product(inputs[0] ?? []) }),
    evaluate(_, inputs) {
      const x = need(inputs, 0);
      const [n = 1, c = 1, ...spatial] = x.dims;
      const area = product(spatial);
      const xv = toNumbers(x);
      const y = Array.from({ length: n * c }, (_, p) => {
        let v = start;
        for (let i = 0; i < area; i++) v = step(v, xv[p * area + i] as number);
        return finish(v, area);
      });
      return [fromNumbers(x.type, [n, c, ...spatial.map(() => 1)], y)];
    },
  });
}
