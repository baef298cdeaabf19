/** Activations that fusion has made part of an op. */
import type { Op } from "../../compiler/core/index.js";

/** The attributes `activation`, `clip_min` and `clip_max`, as far as the op has them. */
export const fusedAttrs = (op: Op): Record<string, string | number> =>
  Object.fromEntries(Object.entries(op.attrs).filter(([k]) => ["activation", "clip_min", "clip_max"].includes(k))) as Record<string, string | number>;
