/**
 * What a gradient rule sees: one op of the forward graph, the gradients of its results, and the means to write the gradients of its operands. Rules emit ops at
 * the end of the graph; the gradients of a value that several ops read are summed.
 */
import {
  type Attrs,
  type Dim,
  describeOp,
  type Edit,
  type ElementType,
  fail,
  fromNumbers,
  i64,
  isStatic,
  type Op,
  type Shape,
  sameDim,
  type Tensor,
  UNKNOWN_DIM,
  type Value,
} from "../../../compiler/core/index.js";

/** How the gradient of an op kind is known. */
export type Gradient =
  /** Writes the gradients of the operands that need one. */
  | { readonly rule: (g: GradientContext) => void }
  /** Nothing flows back, and that is right: the results are integers, or their derivative is 0 wherever there is one. */
  | { readonly none: string }
  | { readonly unsupported: string };

export interface Emitter {
  op(kind: string, inputs: readonly (Value | null)[], attrs?: Attrs, outputs?: number): Op;
  value(kind: string, inputs: readonly (Value | null)[], attrs?: Attrs): Value;
  constant(tensor: Tensor): Value;
}

export interface GradientContext extends Emitter {
  readonly kind: Op;
  /** Operand `i`; rejects the op where it is absent. */
  x(i: number): Value;
  /** Result `i`. */
  y(i?: number): Value;
  /** Gradient of result `i`, of its shape; `null` where the loss does not depend on it. */
  dy(i?: number): Value | null;
  needs(i: number): boolean;
  /** Adds to the gradient of operand `i`; what was broadcast is summed. Does nothing where none is needed. */
  add(i: number, gradient: () => Value): void;
  reject(why: string): never;
}

export const typeOf = (v: Value): { readonly elem: ElementType; readonly shape: Shape } => {
  if (v.type.kind !== "tensor" || v.type.shape === null)
    return fail("CEC4013", { message: `the type of %${v.name} is not known`, help: "give the model's inputs shapes", at: { tensor: v.name } });
  return { elem: v.type.elem, shape: v.type.shape };
};
export const shapeOf = (v: Value): Shape => typeOf(v).shape;
export const rankOf = (v: Value): number => shapeOf(v).length;

/** Emits at the end of the graph, names results after the op whose gradient they are of. */
export function emitter(edit: Edit, base: string): Emitter {
  const op: Emitter["op"] = (kind, inputs, attrs = {}, outputs = 1) => edit.insert(kind, inputs, { attrs, outputs, name: base });
  return {
    op,
    value: (kind, inputs, attrs) => op(kind, inputs, attrs).outputs[0] as Value,
    constant: (t) => edit.constant(`${base}.c`, t),
  };
}

/** A constant scalar of the element type of `like`. */
export const scalar = (e: Emitter, v: number, like: Value): Value => e.constant(fromNumbers(typeOf(like).elem, [], [v]));
export const ints = (e: Emitter, values: readonly number[]): Value => e.constant(i64(values));
export const mul = (e: Emitter, a: Value, b: Value | number): Value => e.value("mul", [a, typeof b === "number" ? scalar(e, b, a) : b]);
export const add = (e: Emitter, a: Value, b: Value | number): Value => e.value("add", [a, typeof b === "number" ? scalar(e, b, a) : b]);
export const sub = (e: Emitter, a: Value, b: Value): Value => e.value("sub", [a, b]);
export const div = (e: Emitter, a: Value, b: Value | number): Value => e.value("div", [a, typeof b === "number" ? scalar(e, b, a) : b]);
export const neg = (e: Emitter, a: Value): Value => e.value("neg", [a]);
/** `gradient` where the condition holds, else 0. */
export const masked = (e: Emitter, condition: Value, gradient: Value): Value => e.value("where", [condition, gradient, scalar(e, 0, gradient)]);
export const reduceSum = (e: Emitter, v: Value, axes: readonly number[], keepdims: 0 | 1): Value =>
  axes.length === 0 ? v : e.value("reduce_sum", [v, ints(e, axes)], { keepdims });

/** The shape of a value as an operand: a constant with at most one dimension that a reshape works out, else computed. */
export function shapeOperand(e: Emitter, v: Value): Value {
  const shape = shapeOf(v);
  return isStatic(shape) ? ints(e, shape) : e.value("shape", [v]);
}
/** `v` with the elements in order and the shape of `like`. */
export function reshapeLike(e: Emitter, v: Value, like: Value): Value {
  const shape = shapeOf(like);
  const open = shape.filter((d) => typeof d !== "number").length;
  if (open === 1 && !shape.includes(0))
    return e.value("reshape", [
      v,
      ints(
        e,
        shape.map((d) => (typeof d === "number" ? d : -1)),
      ),
    ]);
  return e.value("reshape", [v, shapeOperand(e, like)]);
}
/** `v` repeated to the shape of `like`, to which it broadcasts. */
export function expandLike(e: Emitter, v: Value, like: Value): Value {
  const [from, to] = [shapeOf(v), shapeOf(like)];
  const same = from.length === to.length && from.every((d, i) => sameDim(d, to[i] as Dim));
  if (same) return v;
  // An axis that `v` has already may stay open: expand broadcasts both ways.
  const lead = to.length - from.length;
  const target = to.map((d, i) => (typeof d === "number" ? d : i >= lead && sameDim(from[i - lead] as Dim, d) ? 1 : null));
  return e.value("expand", [v, target.every((d) => d !== null) ? ints(e, target as number[]) : e.value("shape", [like])]);
}
/** Zeros of the shape and type of `like`. */
export function zerosLike(e: Emitter, like: Value): Value {
  const zero = scalar(e, 0, like);
  return rankOf(like) === 0 ? zero : e.value("expand", [zero, shapeOperand(e, like)]);
}

/** Sums what broadcasting repeated, so that the result has the shape of `like`. */
export function sumTo(e: Emitter, v: Value, like: Value, reject: (why: string) => never): Value {
  const [from, to] = [shapeOf(v), shapeOf(like)];
  const lead = from.length - to.length;
  const repeated = to.flatMap((d, i) => {
    const f = from[lead + i] as Dim;
    if (sameDim(d, f)) return [];
    if (d === 1) return [i];
    // A symbol that meets a number is that number at run time, or was 1: only then is there something to sum.
    if (typeof d === "number" && typeof f === "string" && f !== UNKNOWN_DIM) return [];
    return reject(`whether axis ${i} was broadcast is not known: it is ${d} in the operand, ${f} in the result`);
  });
  const flat = reduceSum(
    e,
    v,
    Array.from({ length: lead }, (_, i) => i),
    0,
  );
  return reduceSum(e, flat, repeated, 1);
}

/** Axes in the numbers 0 … rank - 1. */
export const normalAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

export function rejectGradient(op: Op, why: string): never {
  return fail("CEC4013", {
    message: `${describeOp(op)} has no gradient here`,
    why,
    help: "freeze the parameters before it (`parameters`), or write that part of the model with other ops",
    at: { node: op.name || (op.outputs[0]?.name ?? op.kind) },
  });
}
