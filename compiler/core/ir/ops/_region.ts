/** Types of control flow results from the types of their bodies' outputs. */
import { num } from "../graph.js";
import type { InferContext } from "../op.js";
import { type Dim, type Shape, type Type, tensorType, UNKNOWN, UNKNOWN_DIM } from "../types.js";

export const capturesOf = (ctx: InferContext): number => num(ctx.op, "captures", 0);

/** What holds for a value that has one type or the other: the shape as far as both agree. */
export function eitherType(a: Type, b: Type): Type {
  if (a.kind === "opaque" && b.kind === "opaque" && a.proto === b.proto) return a;
  if (a.kind !== "tensor" || b.kind !== "tensor" || a.elem !== b.elem) return UNKNOWN;
  return tensorType(a.elem, commonShape(a.shape, b.shape));
}

function commonShape(a: Shape | null, b: Shape | null): Shape | null {
  if (a === null || b === null || a.length !== b.length) return null;
  return a.map((d, i): Dim => (d === b[i] ? d : UNKNOWN_DIM));
}

/** The type of a stack of values along a new axis. Symbols of the body may stand for another size in each run: only numbers are kept. */
export function stacked(t: Type, length: Dim, axis = 0): Type {
  if (t.kind !== "tensor") return UNKNOWN;
  if (t.shape === null) return tensorType(t.elem, null);
  const shape: Dim[] = t.shape.map((d) => (typeof d === "number" ? d : UNKNOWN_DIM));
  const at = axis < 0 ? axis + shape.length + 1 : axis;
  shape.splice(at, 0, length);
  return tensorType(t.elem, shape);
}
