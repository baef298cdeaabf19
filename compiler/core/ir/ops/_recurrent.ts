/** What lstm, gru and rnn share: shapes, activations and the walk over time. Source: ONNX LSTM, GRU, RNN. */
import { z } from "zod";
import { num, nums, str } from "../graph.js";
import { defineOp, type InferContext, type Inferred, type Op, type OpDefinition } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { type Dim, type Shape, type Type, tensorType, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01, float, floats, int } from "./_attrs.js";
import { integers, need } from "./_eval.js";
import { betterDim, elementsOf, needEqual, needRank, needSameElem, unknown } from "./_infer.js";

type Activation = (x: number) => number;

/** The activation functions that ONNX names, with their default parameters. */
const functions: {
  readonly [name: string]: { readonly alpha?: number; readonly beta?: number; readonly f: (alpha: number, beta: number) => Activation };
} = {
  relu: { f: () => (x) => Math.max(0, x) },
  tanh: { f: () => Math.tanh },
  sigmoid: { f: () => (x) => 1 / (1 + Math.exp(-x)) },
  affine: { alpha: 1, beta: 0, f: (a, b) => (x) => a * x + b },
  leakyrelu: { alpha: 0.01, f: (a) => (x) => (x >= 0 ? x : a * x) },
  thresholdedrelu: { alpha: 1, f: (a) => (x) => (x >= a ? x : 0) },
  scaledtanh: { alpha: 1, beta: 1, f: (a, b) => (x) => a * Math.tanh(b * x) },
  hardsigmoid: { alpha: 0.2, beta: 0.5, f: (a, b) => (x) => Math.min(1, Math.max(0, a * x + b)) },
  elu: { alpha: 1, f: (a) => (x) => (x >= 0 ? x : a * Math.expm1(x)) },
  softsign: { f: () => (x) => x / (1 + Math.abs(x)) },
  softplus: { f: () => (x) => Math.log1p(Math.exp(x)) },
};

const strings = (op: { readonly attrs: Op["attrs"] }, name: string): readonly string[] => (op.attrs[name] as readonly string[] | undefined) ?? [];

/** Activations of each direction. Parameters are consumed in order by the functions that take them. */
function activationsOf(op: Op, defaults: readonly string[], directions: number): Activation[][] {
  const named = strings(op, "activations");
  const names = named.length > 0 ? named : Array.from({ length: directions }, () => defaults).flat();
  const [alphas, betas] = [[...nums(op, "activation_alpha")], [...nums(op, "activation_beta")]];
  const all = names.map((name) => {
    const entry = functions[name.toLowerCase()];
    if (entry === undefined) throw new RangeError(`unknown activation ${name}`);
    const alpha = entry.alpha === undefined ? 0 : (alphas.shift() ?? entry.alpha);
    const beta = entry.beta === undefined ? 0 : (betas.shift() ?? entry.beta);
    return entry.f(alpha, beta);
  });
  return Array.from({ length: directions }, (_, d) => all.slice(d * defaults.length, (d + 1) * defaults.length));
}

const directionsOf = (op: { readonly attrs: Op["attrs"] }): number => (str(op, "direction", "forward") === "bidirectional" ? 2 : 1);

/** What one step sees of one direction's parameters; vectors are indexed by gate * hidden + unit. */
export interface Cell {
  readonly hidden: number;
  /** Bias of the recurrent product; the bias of the input product is already in `wx`. */
  readonly rb: Float64Array;
  /** Peepholes i, o, f (lstm). */
  readonly peephole: Float64Array;
  readonly f: readonly Activation[];
  readonly clip: Activation;
}

/** Row (gate, unit) of W times the input vector, plus its bias. */
type InputProduct = (gate: number, unit: number) => number;
/** Row (gate, unit) of R times a state. */
type StateProduct = (gate: number, unit: number, state: Float64Array) => number;

export interface Family {
  readonly gates: number;
  readonly defaults: readonly string[];
  readonly hasCell: boolean;
  readonly maxInputs: number;
  readonly extra: z.ZodRawShape;
  /** One step for one sample: writes the new h (and c) over the old. */
  step(cell: Cell, op: Op, wx: InputProduct, rh: StateProduct, h: Float64Array, c: Float64Array): void;
}

function infer(ctx: InferContext, family: Family): Inferred {
  const t = needSameElem(ctx, [0, 1, 2, 3]);
  const x = needRank(ctx, 0, 3, 3);
  const w = needRank(ctx, 1, 3, 3);
  const r = needRank(ctx, 2, 3, 3);
  if (t === null) return unknown(ctx);
  const named = strings(ctx.op, "activations");
  const directions = directionsOf(ctx.op);
  for (const name of named) {
    if (functions[name.toLowerCase()] === undefined) ctx.fail(`unknown activation ${name}`, `there is ${Object.keys(functions).join(", ")}`);
  }
  if (named.length > 0 && named.length !== directions * family.defaults.length) {
    ctx.fail(`${named.length} activations are given`, `${family.defaults.length} are needed for each of ${directions} directions`);
  }
  const stated = num(ctx.op, "hidden_size", 0);
  const hidden: Dim = stated > 0 ? stated : (r?.[2] ?? UNKNOWN_DIM);
  const rows = typeof hidden === "number" ? hidden * family.gates : undefined;
  const checks: readonly [Shape | null, readonly (Dim | undefined)[], string][] = [
    [w, [directions, rows, undefined], "W"],
    [r, [directions, rows, hidden], "R"],
    [needRank(ctx, 3, 2, 2), [directions, rows === undefined ? undefined : 2 * rows], "B"],
  ];
  for (const [shape, want, name] of checks) {
    shape?.forEach((d, i) => {
      needEqual(ctx, d, want[i], `axis ${i} of ${name} does not fit`, `${name} must be [${want.map((v) => v ?? "?").join(", ")}]`);
    });
  }
  if (x !== null && w !== null) needEqual(ctx, x[2], w[2], "the input sizes of X and W differ");
  const batchFirst = num(ctx.op, "layout", 0) === 1;
  const [sequence, given] = (x === null ? [UNKNOWN_DIM, UNKNOWN_DIM] : batchFirst ? [x[1], x[0]] : [x[0], x[1]]) as [Dim, Dim];
  const initial = ctx.shape(5);
  const batch = initial?.length === 3 ? betterDim(given, initial[batchFirst ? 0 : 1] as Dim) : given;
  const y = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden];
  const state = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  const types: Type[] = [tensorType(t.elem, y), tensorType(t.elem, state), tensorType(t.elem, state)];
  return { types: types.slice(0, ctx.outputCount) };
}

function evaluate(op: Op, inputs: readonly (Tensor | null)[], family: Family): Tensor[] {
  const [x, w, r] = [need(inputs, 0), need(inputs, 1), need(inputs, 2)];
  const optional = (i: number): Float64Array | null => (inputs[i] == null ? null : toNumbers(inputs[i] as Tensor));
  const [directions, rows, size] = w.dims as [number, number, number];
  const hidden = rows / family.gates;
  const batchFirst = num(op, "layout", 0) === 1;
  const [sequence, batch] = (batchFirst ? [x.dims[1], x.dims[0]] : [x.dims[0], x.dims[1]]) as [number, number];
  const [xv, wv, rv, bias, h0, c0, peep] = [toNumbers(x), toNumbers(w), toNumbers(r), optional(3), optional(5), optional(6), optional(7)];
  const lengths = integers(inputs[4]) ?? new Array<number>(batch).fill(sequence);
  const limit = num(op, "clip", Number.POSITIVE_INFINITY);
  const f = activationsOf(op, family.defaults, directions);
  const direction = str(op, "direction", "forward");
  const y = new Float64Array(sequence * directions * batch * hidden);
  const [yh, yc] = [new Float64Array(directions * batch * hidden), new Float64Array(directions * batch * hidden)];
  const stateAt = (d: number, b: number): number => (batchFirst ? b * directions + d : d * batch + b) * hidden;
  const part = (v: Float64Array | null, d: number, n: number, at: number, all: number): Float64Array =>
    v === null ? new Float64Array(n) : v.subarray(d * all + at, d * all + at + n);
  for (let d = 0; d < directions; d++) {
    const wb = part(bias, d, rows, 0, 2 * rows);
    const cell: Cell = {
      hidden,
      rb: part(bias, d, rows, rows, 2 * rows),
      peephole: part(peep, d, 3 * hidden, 0, 3 * hidden),
      f: f[d] as Activation[],
      clip: (v) => Math.min(limit, Math.max(-limit, v)),
    };
    const rh: StateProduct = (gate, unit, state) => {
      const row = (d * rows + gate * hidden + unit) * hidden;
      let s = 0;
      for (let i = 0; i < hidden; i++) s += (state[i] as number) * (rv[row + i] as number);
      return s;
    };
    const reverse = direction === "reverse" || d === 1;
    for (let b = 0; b < batch; b++) {
      const initial = (v: Float64Array | null): Float64Array =>
        v === null ? new Float64Array(hidden) : v.slice(stateAt(d, b), stateAt(d, b) + hidden);
      const [h, c] = [initial(h0), initial(c0)];
      const length = lengths[b] as number;
      for (let step = 0; step < length; step++) {
        // The reverse direction runs over the sample's own length, not over the padding.
        const t = reverse ? length - 1 - step : step;
        const from = (batchFirst ? b * sequence + t : t * batch + b) * size;
        const wx: InputProduct = (gate, unit) => {
          const row = gate * hidden + unit;
          let s = wb[row] as number;
          for (let i = 0; i < size; i++) s += (xv[from + i] as number) * (wv[(d * rows + row) * size + i] as number);
          return s;
        };
        family.step(cell, op, wx, rh, h, c);
        y.set(h, (batchFirst ? (b * sequence + t) * directions + d : (t * directions + d) * batch + b) * hidden);
      }
      yh.set(h, stateAt(d, b));
      yc.set(c, stateAt(d, b));
    }
  }
  const yDims = batchFirst ? [batch, sequence, directions, hidden] : [sequence, directions, batch, hidden];
  const sDims = batchFirst ? [batch, directions, hidden] : [directions, batch, hidden];
  return [fromNumbers(x.type, yDims, y), fromNumbers(x.type, sDims, yh), fromNumbers(x.type, sDims, yc)].slice(0, op.outputs.length);
}

/** Declares a recurrent kind. Values are computed in doubles and rounded once at the end. */
export function recurrent<K extends string>(kind: K, summary: string, family: Family): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({
      activation_alpha: floats.optional(),
      activation_beta: floats.optional(),
      activations: z.array(z.string()).optional(),
      clip: float.optional(),
      direction: z.enum(["forward", "reverse", "bidirectional"]).optional(),
      hidden_size: int.optional(),
      layout: bool01.optional(),
      ...family.extra,
    }),
    inputs: [3, family.maxInputs],
    outputs: [0, family.hasCell ? 3 : 2],
    infer: (ctx) => infer(ctx, family),
    cost(op, { inputs }) {
      const [x, w, r] = inputs;
      const steps = (x?.[0] ?? 0) * (x?.[1] ?? 0);
      return { macs: steps * (elementsOf(w) + elementsOf(r)), flops: 8 * steps * directionsOf(op) * (w?.[1] ?? 0) };
    },
    evaluate: (op, inputs) => evaluate(op, inputs, family),
  });
}
