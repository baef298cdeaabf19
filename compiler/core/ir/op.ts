/**
 * How an op kind is declared: attributes, shape inference, verification, cost, and, for kinds that constant folding needs, a scalar reference evaluation.
 * One file per kind under `ops/`; `ops/index.ts` is the one table. ONNX names, gradients, quantization rules and native lowering stand in
 * tables of their own parts.
 */
import type { z } from "zod";
import type { Attrs, Graph, Op, Value } from "./graph.js";
import type { Tensor } from "./tensor.js";
import type { Dim, TensorType, Type } from "./types.js";

/** What inference sees of one op. */
export interface InferContext {
  readonly op: Op;
  readonly attrs: Attrs;
  /** Number of operands, absent trailing ones not counted. */
  readonly inputCount: number;
  readonly outputCount: number;
  /** Type of operand `i`; `null` when absent, unknown or no tensor. */
  type(i: number): TensorType | null;
  /** Shape of operand `i`; `null` when absent or of unknown rank. */
  shape(i: number): readonly Dim[] | null;
  /** Tensor of operand `i` when it is a constant. */
  constant(i: number): Tensor | null;
  /** Elements of a small integer operand as far as known (constants, and values computed from shapes): symbols stand for themselves, `"?"` for unknown. */
  content(i: number): readonly Dim[] | null;
  /** Rejects the op: throws a coded error that names the node and its tensors. `why` says what the operator's specification asks for. */
  fail(what: string, why?: string): never;
}

/** Types of the outputs, and the contents of the first output where inference can tell them (shape computations). */
export interface Inferred {
  readonly types: readonly Type[];
  readonly content?: readonly Dim[];
}

export interface Cost {
  /** Multiply-accumulates of one evaluation. */
  readonly macs: number;
  /** Other arithmetic, one per scalar operation. */
  readonly flops: number;
}

export interface OpDefinition {
  readonly kind: string;
  readonly summary: string;
  /** Attributes as in the newest ONNX operator; zod gives defaults and rejects unknown names. */
  readonly attrs: z.ZodType<Attrs>;
  /** Least and most operands; `Infinity` for variadic. */
  readonly inputs: readonly [min: number, max: number];
  /** Operands below the minimum that may be absent all the same (a bias before an operand that is always there). */
  readonly optional?: readonly number[];
  readonly outputs: readonly [min: number, max: number];
  infer(ctx: InferContext): Inferred;
  /** Cost with all dimensions known; absent: no arithmetic (data movement). */
  cost?(op: Op, shapes: { readonly inputs: readonly (readonly number[] | null)[]; readonly outputs: readonly (readonly number[])[] }): Cost;
  /** Scalar reference evaluation; absent operands are `null`. Must be exact for integers and correctly ordered for floats (f32 rounding after each step). */
  evaluate?(op: Op, inputs: readonly (Tensor | null)[]): readonly Tensor[];
  /** True where the op may not be removed, merged or folded though its operands are known (random generators). */
  readonly impure?: true;
}

export const defineOp = <K extends string>(definition: OpDefinition & { readonly kind: K }): OpDefinition & { readonly kind: K } => definition;

/** For passes that look through the table by value. */
export type { Graph, Op, Value };
