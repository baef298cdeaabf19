/**
 * Type and shape inference over a graph, by the rules in `ops/`.
 *
 * A fresh inference never widens: where a file already declares a type (graph inputs, value_info, outputs of carried ops) and the rule gives less,
 * the declared fact is kept; where both know a dimension and disagree, the op is rejected.
 */
import { fail } from "../diagnostics/index.js";
import { constantTensor, type Graph, isConstant, num, type Op, type Value } from "./graph.js";
import type { InferContext, Inferred } from "./op.js";
import { opDefinition } from "./ops/index.js";
import { type Dim, formatType, type TensorType, type Type, UNKNOWN_DIM } from "./types.js";

/** Longest integer value whose contents inference follows: shapes have at most a few elements. */
const MAX_CONTENT = 64;

/** Known elements of a small integer value, or `null`. */
export function contentOf(value: Value | null | undefined): readonly Dim[] | null {
  if (value == null || value.type.kind !== "tensor") return null;
  if (value.content !== undefined) return value.content;
  if (!isConstant(value)) return null;
  const { elem, shape } = value.type;
  if ((elem !== "i64" && elem !== "i32") || shape === null || shape.length > 1) return null;
  if (shape.length === 1 && !((shape[0] as number) <= MAX_CONTENT)) return null;
  const t = constantTensor(value);
  return t === null ? null : Array.from(t.data as BigInt64Array, Number);
}

export function describeOp(op: Op): string {
  const name = op.name || op.outputs[0]?.name || "";
  return `${op.kind} "${name}"`;
}

function contextOf(op: Op): InferContext {
  const tensor = (i: number): TensorType | null => {
    const t = op.inputs[i]?.type;
    return t?.kind === "tensor" ? t : null;
  };
  let inputCount = op.inputs.length;
  while (inputCount > 0 && op.inputs[inputCount - 1] === null) inputCount--;
  return {
    op,
    attrs: op.attrs,
    inputCount,
    outputCount: op.outputs.length,
    type: tensor,
    shape: (i) => tensor(i)?.shape ?? null,
    constant: (i) => constantTensor(op.inputs[i]),
    content: (i) => contentOf(op.inputs[i]),
    fail(what, why) {
      const operands = op.inputs.map((v) => (v === null ? "(absent)" : `%${v.name}: ${formatType(v.type)}`)).join(", ");
      fail("CEC4001", {
        message: `${describeOp(op)}: ${what}`,
        why: `${why === undefined ? "" : `${why}. `}Operands: ${operands}`,
        at: { node: op.name || (op.outputs[0]?.name ?? op.kind) },
      });
    },
  };
}

/** Joins what a rule found with what was declared. Throws through `reject` when the two exclude each other. */
export function joinTypes(inferred: Type, declared: Type, reject: (why: string) => never): Type {
  if (inferred.kind !== "tensor") return declared.kind === "unknown" ? inferred : declared;
  if (declared.kind !== "tensor") return inferred;
  const shapeOf = (): TensorType["shape"] => {
    if (inferred.shape === null) return declared.shape;
    if (declared.shape === null) return inferred.shape;
    if (inferred.shape.length !== declared.shape.length)
      reject(`rank ${inferred.shape.length} was inferred, rank ${declared.shape.length} is declared`);
    return inferred.shape.map((d, i) => {
      const e = declared.shape?.[i] as Dim;
      if (typeof d === "number" && typeof e === "number" && d !== e) reject(`dimension ${i} is ${d} by inference and ${e} by declaration`);
      if (typeof d === "number") return d;
      if (typeof e === "number") return e;
      return d === UNKNOWN_DIM ? e : d;
    });
  };
  const quant = inferred.quant ?? declared.quant;
  const shape = shapeOf();
  return quant === undefined ? { kind: "tensor", elem: inferred.elem, shape } : { kind: "tensor", elem: inferred.elem, shape, quant };
}

/** What the rule of an op gives for its operands, the op left as it is; `null` for kinds without a definition and for constants. */
export function inferredTypes(op: Op): Inferred | null {
  const definition = op.kind === "constant" ? undefined : opDefinition(op.kind);
  return definition === undefined ? null : definition.infer(contextOf(op));
}

/** Infers one op's outputs in place. Kinds without a definition (carried ops) keep their declared types. */
export function inferOp(_graph: Graph, op: Op): void {
  if (op.kind === "constant") return;
  const definition = opDefinition(op.kind);
  if (definition === undefined) return;
  const ctx = contextOf(op);
  const { types, content } = definition.infer(ctx);
  op.outputs.forEach((v, i) => {
    const inferred = types[i];
    if (inferred !== undefined)
      v.type = joinTypes(inferred, v.type, (why) => ctx.fail(`output %${v.name}: ${why}`, "the file declares a type that the operator cannot give"));
  });
  const first = op.outputs[0];
  if (first !== undefined) {
    if (content !== undefined && content.length <= MAX_CONTENT) first.content = content;
    else delete first.content;
  }
}

/** Gives the values that bodies capture the types and contents that they have outside: captured values are the last operands and the last inputs of a body. */
function seedCaptures(op: Op): void {
  const captures = num(op, "captures", 0);
  let at = op.inputs.length - captures;
  op.regions.forEach((region, k) => {
    // The two bodies of `if` capture one after the other; other kinds have one body.
    const first = num(op, "then_captures", captures);
    const count = op.kind === "if" ? (k === 0 ? first : captures - first) : captures;
    for (const inner of region.inputs.slice(region.inputs.length - count)) {
      const outer = op.inputs[at++];
      if (outer == null) continue;
      inner.type = joinTypes(outer.type, inner.type, (why) =>
        fail("CEC4001", { message: `${describeOp(op)}: captured %${outer.name} does not fit the body: ${why}`, at: { node: describeOp(op) } }),
      );
      const content = contentOf(outer);
      if (content !== null) inner.content = content;
    }
  });
}

/** Infers the whole graph in order, bodies of control flow first. */
export function inferGraph(graph: Graph): void {
  for (const op of graph.ops) {
    if (op.regions.length > 0) seedCaptures(op);
    for (const region of op.regions) inferGraph(region);
    inferOp(graph, op);
  }
}
