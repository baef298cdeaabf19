/** Matrix products with NumPy batching. */
import type { InferContext } from "../op.js";
import { type Dim, type Shape, UNKNOWN_DIM } from "../types.js";
import { broadcastDims, broadcastStrides, walk } from "./_eval.js";
import { broadcast, product } from "./_infer.js";

/** Shape of a @ b (NumPy matmul: 1-D operands get an axis that is dropped again). */
export function matmulShape(ctx: InferContext, a: Shape | null, b: Shape | null): Shape | null {
  if (a === null || b === null) return null;
  if (a.length === 0 || b.length === 0) ctx.fail("matmul takes no scalars");
  const left = a.length === 1 ? [1, ...a] : a;
  const right = b.length === 1 ? [...b, 1] : b;
  const [k, l] = [left[left.length - 1] as Dim, right[right.length - 2] as Dim];
  if (typeof k === "number" && typeof l === "number" && k !== l)
    ctx.fail(`inner sizes are ${k} and ${l}`, "the last axis of a must equal the second last of b");
  const batch = broadcast(ctx, [left.slice(0, -2), right.slice(0, -2)]);
  const rows: Dim[] = a.length === 1 ? [] : [left[left.length - 2] ?? UNKNOWN_DIM];
  const columns: Dim[] = b.length === 1 ? [] : [right[right.length - 1] ?? UNKNOWN_DIM];
  return batch === null ? null : [...batch, ...rows, ...columns];
}

/** Sums in doubles; integer sums are exact up to 2^53. Readers give elements by flat index with row / column of the matrix. */
export function matmulValues(
  a: { readonly dims: readonly number[]; at(i: number, row: number): number },
  b: { readonly dims: readonly number[]; at(i: number, column: number): number },
): { readonly dims: number[]; readonly data: Float64Array } {
  const left = a.dims.length === 1 ? [1, ...a.dims] : [...a.dims];
  const right = b.dims.length === 1 ? [...b.dims, 1] : [...b.dims];
  const [m, k] = left.slice(-2) as [number, number];
  const n = right[right.length - 1] as number;
  if (right[right.length - 2] !== k) throw new RangeError(`inner sizes are ${k} and ${right[right.length - 2]}`);
  const batch = broadcastDims([left.slice(0, -2), right.slice(0, -2)]);
  const count = product(batch);
  const starts = (dims: readonly number[], size: number): Float64Array => {
    const out = new Float64Array(count);
    walk(batch, broadcastStrides(dims.slice(0, -2), batch), (offset, i) => {
      out[i] = offset * size;
    });
    return out;
  };
  const [sa, sb] = [starts(left, m * k), starts(right, k * n)];
  const data = new Float64Array(count * m * n);
  for (let q = 0; q < count; q++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let s = 0;
        for (let l = 0; l < k; l++) s += a.at((sa[q] as number) + i * k + l, i) * b.at((sb[q] as number) + l * n + j, j);
        data[(q * m + i) * n + j] = s;
      }
    }
  }
  return { dims: [...batch, ...(a.dims.length === 1 ? [] : [m]), ...(b.dims.length === 1 ? [] : [n])], data };
}
