/** Builds graphs in code: tests, model elaboration, programmatic use. */
import { type Attrs, Graph, type Json, type Location, type Op, type Value } from "./graph.js";
import { inferOp } from "./infer.js";
import { parseType } from "./parse.js";
import { blobOf, type Tensor } from "./tensor.js";
import { type ElementType, type Shape, type Type, tensorType, UNKNOWN } from "./types.js";

export interface GraphBuilder {
  readonly graph: Graph;
  /** A graph input, by element type and shape or by a type's text: `b.input("x", "f32", ["N", 4])`, `b.input("x", "f32[N, 4]")`. */
  input(name: string, type: ElementType, shape: Shape): Value;
  input(name: string, type: string | Type): Value;
  constant(name: string, tensor: Tensor): Value;
  /** Adds an op and infers its types. */
  op(
    kind: string,
    inputs: readonly (Value | null)[],
    attrs?: Attrs,
    options?: {
      readonly name?: string;
      readonly outputs?: number;
      readonly outputNames?: readonly string[];
      readonly loc?: Location;
      readonly regions?: readonly Graph[];
      readonly annotations?: Readonly<Record<string, Json>>;
      /** Declared types, for kinds that inference knows nothing of. */
      readonly types?: readonly Type[];
    },
  ): Op;
  /** The single result of a new op. */
  value(kind: string, inputs: readonly (Value | null)[], attrs?: Attrs, name?: string): Value;
  output(name: string, value: Value): void;
}

export function graphBuilder(name: string): GraphBuilder {
  const graph = new Graph(name);
  const op: GraphBuilder["op"] = (kind, inputs, attrs = {}, options = {}) => {
    const { types, outputs = types?.length ?? 1, ...rest } = options;
    const made = graph.addOp({ ...rest, kind, inputs, attrs, types: types ?? new Array<Type>(outputs).fill(UNKNOWN) });
    inferOp(graph, made);
    return made;
  };
  const input = (n: string, type: string | Type, shape?: Shape): Value =>
    graph.addInput(n, typeof type !== "string" ? type : shape === undefined ? parseType(type) : tensorType(type as ElementType, shape));
  return {
    graph,
    input,
    constant: (n, t) => graph.addConstant(n, tensorType(t.type, t.dims), blobOf(t)),
    op,
    value: (kind, inputs, attrs, n) => op(kind, inputs, attrs, n === undefined ? {} : { name: n, outputNames: [n] }).outputs[0] as Value,
    output: (n, v) => graph.addOutput(n, v),
  };
}

/**
 * Builds a graph; types are inferred op by op.
 * @throws CecError CEC4001 when operands do not fit an op
 * @example
 * const g = buildGraph("tiny", (b) => {
 *   const x = b.input("x", "f32", ["N", 4]);
 *   b.output("y", b.value("relu", [x]));
 * });
 */
export function buildGraph(name: string, build: (b: GraphBuilder) => void): Graph {
  const b = graphBuilder(name);
  build(b);
  return b.graph;
}
