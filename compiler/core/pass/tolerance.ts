/** How near tensors must be for a pass that promises to keep values: the one table that numeric checks of passes use. */
import { type Tensor, toBytes, toNumbers } from "../ir/tensor.js";
import type { ElementType } from "../ir/types.js";
import type { Keeps } from "./define.js";

/**
 * Largest |a - b| allowed in a tensor, as a part of the greatest |a| in it, by element type; `values` only (`bit-exact` allows nothing). Measured against the
 * tensor and not the element, because a sum's rounding error follows the size of its terms, not of its result.
 *
 * f32: a pass may put sums in another order and multiply weights (folding); each of d layers then adds some 2^-24 times the root of its fan-in. ResNet-56 and
 * the like stay under 1e-5; ten times that finds a wrong epsilon. The others: the same reasoning from their own precision (2^-11, 2^-8, 2^-53).
 * Integer, bool and string tensors must be equal: an index that changes is a change of values.
 */
export const numericTolerance: Readonly<Partial<Record<ElementType, number>>> = {
  f64: 1e-10,
  f32: 1e-4,
  c64: 1e-4,
  c128: 1e-10,
  f16: 1e-2,
  bf16: 5e-2,
};

/** Below this, differences of f32 are noise whatever the tensor's size (all zero before, 1e-12 after). */
const NOISE = 1e-7;

export interface Comparison {
  readonly same: boolean;
  /** Greatest |a - b|; infinite where shapes, types, NaNs or infinities do not agree. */
  readonly difference: number;
  readonly allowed: number;
}

const OTHER: Comparison = { same: false, difference: Number.POSITIVE_INFINITY, allowed: 0 };

/** Holds `b` (after a pass) against `a` (before it). */
export function compareTensors(a: Tensor, b: Tensor, keeps: Exclude<Keeps, "lossy">): Comparison {
  if (a.type !== b.type || a.dims.length !== b.dims.length || a.dims.some((d, i) => d !== b.dims[i])) return OTHER;
  if (a.type === "string") return a.data.every((v, i) => v === b.data[i]) ? { same: true, difference: 0, allowed: 0 } : OTHER;
  if (keeps === "bit-exact") {
    const [x, y] = [toBytes(a), toBytes(b)];
    if (x.every((v, i) => v === y[i])) return { same: true, difference: 0, allowed: 0 };
  }
  const [x, y] = [toNumbers(a), toNumbers(b)];
  let [difference, top] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const [p, q] = [x[i] as number, y[i] as number];
    if (Number.isFinite(p)) top = Math.max(top, Math.abs(p));
    if (p === q || (Number.isNaN(p) && Number.isNaN(q))) continue;
    if (!Number.isFinite(p) || !Number.isFinite(q)) return OTHER;
    difference = Math.max(difference, Math.abs(p - q));
  }
  if (keeps === "bit-exact") return { same: false, difference, allowed: 0 };
  const relative = numericTolerance[a.type];
  const allowed = relative === undefined ? 0 : relative * top + NOISE;
  return { same: difference <= allowed, difference, allowed };
}
