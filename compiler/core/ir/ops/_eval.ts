/** Scalar reference evaluation: strides, broadcasting, element-wise maps. Correct and plain, not fast. */
import { countOf, fromNumbers, type Tensor, toNumbers, zeros } from "../tensor.js";
import type { ElementType } from "../types.js";

export const stridesOf = (dims: readonly number[]): number[] => {
  const out = new Array<number>(dims.length).fill(1);
  for (let i = dims.length - 2; i >= 0; i--) out[i] = (out[i + 1] as number) * (dims[i + 1] as number);
  return out;
};

export function broadcastDims(all: readonly (readonly number[])[]): number[] {
  const rank = Math.max(0, ...all.map((d) => d.length));
  return Array.from({ length: rank }, (_, i) => {
    let dim = 1;
    for (const d of all) {
      const at = i - (rank - d.length);
      const v = at < 0 ? 1 : (d[at] as number);
      if (v !== 1) {
        if (dim !== 1 && dim !== v) throw new RangeError(`shapes ${all.map((x) => `[${x.join(", ")}]`).join(", ")} do not broadcast`);
        dim = v;
      }
    }
    return dim;
  });
}

/** Calls `visit(offset)` for each element of `dims`, in order, with the offset that `strides` give. */
export function walk(dims: readonly number[], strides: readonly number[], visit: (offset: number, i: number) => void): void {
  const n = countOf(dims);
  const index = new Array<number>(dims.length).fill(0);
  let offset = 0;
  for (let i = 0; i < n; i++) {
    visit(offset, i);
    for (let a = dims.length - 1; a >= 0; a--) {
      index[a]!++;
      offset += strides[a] as number;
      if ((index[a] as number) < (dims[a] as number)) break;
      offset -= (strides[a] as number) * (dims[a] as number);
      index[a] = 0;
    }
  }
}

/** Strides that read `dims` as if broadcast to `to`. */
export function broadcastStrides(dims: readonly number[], to: readonly number[]): number[] {
  const own = stridesOf(dims);
  return to.map((_, i) => {
    const at = i - (to.length - dims.length);
    return at < 0 || dims[at] === 1 ? 0 : (own[at] as number);
  });
}

/** A tensor that reads `t` with the given dims, strides and start: every data movement op is one of these. */
export function gatherStrided(t: Tensor, dims: readonly number[], strides: readonly number[], start = 0): Tensor {
  const out = zeros(t.type, dims);
  const from = t.data as Float32Array;
  const to = out.data as Float32Array;
  // Row by row: weights are moved each time that a model is lowered.
  const [inner, step] = dims.length === 0 ? [1, 0] : [dims.at(-1) as number, strides.at(-1) as number];
  if (inner === 0) return out;
  walk(dims.slice(0, -1), strides, (offset, row) => {
    for (let i = row * inner, end = i + inner, at = start + offset; i < end; i++, at += step) to[i] = from[at] as number;
  });
  return out;
}

export const isBig = (t: ElementType): boolean => t === "i64" || t === "u64";

export type NumberMap = (...v: number[]) => number;
export type BigMap = (...v: bigint[]) => bigint;

/** Broadcasting map over operands of one type; 64-bit integers go through `big` where it is given. */
export function mapTensors(inputs: readonly Tensor[], type: ElementType, f: NumberMap, big?: (...v: bigint[]) => bigint | boolean): Tensor {
  const dims = broadcastDims(inputs.map((t) => t.dims));
  const n = countOf(dims);
  const same = inputs.every((t) => t.data.length === n);
  const offsets = same
    ? null
    : inputs.map((t) => {
        const o = new Uint32Array(n);
        walk(dims, broadcastStrides(t.dims, dims), (offset, i) => {
          o[i] = offset;
        });
        return o;
      });
  const at = (k: number, i: number): number => (offsets === null ? i : ((offsets[k] as Uint32Array)[i] as number));
  if (big !== undefined && inputs.some((t) => isBig(t.type))) {
    const out = zeros(type, dims);
    const data = out.data as BigInt64Array;
    const isBool = type === "bool";
    for (let i = 0; i < n; i++) {
      const v = big(...inputs.map((t, k) => (t.data as BigInt64Array)[at(k, i)] as bigint));
      data[i] = (isBool ? (v ? 1 : 0) : v) as bigint;
    }
    return out;
  }
  const values = inputs.map(toNumbers);
  const out = new Float64Array(n);
  const args = new Array<number>(inputs.length);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < args.length; k++) args[k] = (values[k] as Float64Array)[at(k, i)] as number;
    out[i] = f(...args);
  }
  return fromNumbers(type, dims, out);
}

export const need = (inputs: readonly (Tensor | null)[], i: number): Tensor => {
  const t = inputs[i];
  if (t == null) throw new RangeError(`operand ${i} is absent`);
  return t;
};

/** Integers of a small operand (axes, shapes, pads). */
export const integers = (t: Tensor | null | undefined): number[] | null => (t == null ? null : Array.from(t.data as BigInt64Array, Number));

export const normal = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);
