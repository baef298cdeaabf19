/** Small pattern helpers that the fusions share. */
import { constantTensor, type Graph, type Op, type Shape, toNumbers, type Value } from "../../compiler/core/index.js";

export const shapeOf = (v: Value | null | undefined): Shape | null => (v?.type.kind === "tensor" ? v.type.shape : null);

/** The value of a constant that is one number (any rank), else `null`. */
export function scalarOf(v: Value | null | undefined): number | null {
  const t = constantTensor(v);
  if (t === null || t.data.length !== 1 || t.type === "string") return null;
  return toNumbers(t)[0] as number;
}

/** Equality up to f32 rounding of a constant that exporters write with few digits. Relative: 0.0448 is not 0.044715. */
export const near = (a: number | null, b: number): boolean => a !== null && Math.abs(a - b) <= 1e-4 * Math.abs(b);

/** Fused activations change what an op computes: patterns are of plain ops. */
export const plain = (op: Op | null | undefined): op is Op => op != null && op.attrs["activation"] === undefined && op.inputs.length <= 3;

/** True when the values have one element type and rank: a constant of one element and higher rank in an expression would have raised the rank. */
export const sameRank = (a: Value | null | undefined, b: Value | null | undefined): boolean =>
  a?.type.kind === "tensor" &&
  b?.type.kind === "tensor" &&
  a.type.elem === b.type.elem &&
  a.type.shape !== null &&
  a.type.shape.length === b.type.shape?.length;

/** The two operands of a plain binary op with the constant scalar second; `null` when neither or both are one. */
export function withScalar(op: Op): { readonly x: Value; readonly scalar: number } | null {
  if (!plain(op)) return null;
  const [a, b] = op.inputs;
  const [sa, sb] = [scalarOf(a), scalarOf(b)];
  if (sb !== null && sa === null && a != null) return { x: a, scalar: sb };
  if (sa !== null && sb === null && b != null) return { x: b, scalar: sa };
  return null;
}

/** The operand of a commutative binary op that is not `v`; `null` when `v` is no operand. */
export const otherOperand = (op: Op, v: Value): Value | null =>
  op.inputs[0] === v ? (op.inputs[1] ?? null) : op.inputs[1] === v ? (op.inputs[0] ?? null) : null;

/** The single user of an op's single result, if it is of one of the kinds. */
export function followedBy(graph: Graph, op: Op, ...kinds: readonly string[]): Op | null {
  const v = op.outputs[0];
  const user = v === undefined ? null : graph.onlyUser(v);
  return user !== null && kinds.includes(user.kind) ? user : null;
}

/** Bounds of a clip whose limits are constants; `null` when a limit is computed. */
export function clipBounds(op: Op): { readonly low: number; readonly high: number } | null {
  const [, a, b] = op.inputs;
  const low = a == null ? Number.NEGATIVE_INFINITY : scalarOf(a);
  const high = b == null ? Number.POSITIVE_INFINITY : scalarOf(b);
  return low === null || high === null ? null : { low, high };
}
