/** One op on given operands: a graph around it, its inferred types, its value. */
import { type Attrs, Graph, type Op, type Value } from "../../../../compiler/core/ir/graph.js";
import { inferGraph } from "../../../../compiler/core/ir/infer.js";
import { opDefinition } from "../../../../compiler/core/ir/ops/index.js";
import { blobOf, fromNumbers, type Tensor, tensor, toNumbers } from "../../../../compiler/core/ir/tensor.js";
import { type Dim, type ElementType, formatType, tensorType, UNKNOWN } from "../../../../compiler/core/ir/types.js";

/** An operand: a constant, a value of a type only, or absent. */
export type Operand = Tensor | { readonly elem: ElementType; readonly shape: readonly Dim[] | null } | null;

export const of = (elem: ElementType, ...shape: Dim[]): Operand => ({ elem, shape });
export const unranked = (elem: ElementType): Operand => ({ elem, shape: null });
export const t = (elem: ElementType, dims: readonly number[], values: readonly (number | bigint | string)[]): Tensor => tensor(elem, dims, values);
export const ints = (...values: number[]): Tensor => tensor("i64", [values.length], values);
/** Rounded to the type. */
export const scalar = (elem: ElementType, value: number): Tensor => fromNumbers(elem, [], [value]);
/** f32 values 0, 1, 2, … */
export const iota = (...dims: number[]): Tensor => {
  const n = dims.reduce((a, b) => a * b, 1);
  return tensor(
    "f32",
    dims,
    Array.from({ length: n }, (_, i) => i),
  );
};

export interface OpCase {
  readonly kind: string;
  readonly operands: readonly Operand[];
  readonly attrs?: Attrs;
  readonly outputs?: number;
}

const isTensor = (o: Operand): o is Tensor => o !== null && "data" in o;

export function build(c: OpCase): Op {
  const g = new Graph("test");
  const values = c.operands.map((o, i): Value | null => {
    if (o === null) return null;
    return isTensor(o) ? g.addConstant(`c${i}`, tensorType(o.type, o.dims), blobOf(o)) : g.addInput(`x${i}`, tensorType(o.elem, o.shape));
  });
  const op = g.addOp({
    kind: c.kind,
    inputs: values,
    attrs: c.attrs ?? {},
    types: new Array(c.outputs ?? 1).fill(UNKNOWN),
    name: "op",
  });
  opDefinition(c.kind)?.attrs.parse(op.attrs);
  inferGraph(g);
  return op;
}

/** Inferred types as text. */
export const inferred = (kind: string, operands: readonly Operand[], attrs: Attrs = {}, outputs = 1): string[] =>
  build({ kind, operands, attrs, outputs }).outputs.map((v) => formatType(v.type));

export function evaluate(kind: string, operands: readonly (Tensor | null)[], attrs: Attrs = {}, outputs = 1): readonly Tensor[] {
  const op = build({ kind, operands, attrs, outputs });
  const run = opDefinition(kind)?.evaluate;
  if (run === undefined) throw new Error(`${kind} has no evaluate`);
  return run(op, operands);
}

/** Values of the first result. */
export const values = (kind: string, operands: readonly (Tensor | null)[], attrs: Attrs = {}): number[] =>
  Array.from(toNumbers(evaluate(kind, operands, attrs)[0] as Tensor));
