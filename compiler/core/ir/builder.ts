/** Builds graphs in code: tests, model elaboration, programmatic use. */
import { type Attrs, Graph, type Location, type Op, type Value } from "./graph.js";
import { inferOp } from "./infer.js";
import { blobOf, type Tensor } from "./tensor.js";
import { type ElementType, type Shape, type Type, tensorType, UNKNOWN } from "./types.js";

export interface GraphBuilder {
  readonly graph: Graph;
  input(name: string, elem: ElementType, shape: Shape): Value;
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
    },
  ): Op;
  /** The single result of a new op. */
  value(kind: string, inputs: readonly (Value | null)[], attrs?: Attrs, name?: string): Value;
  output(name: string, value: Value): void;
}

export function graphBuilder(name: string): GraphBuilder {
  const graph = new Graph(name);
  const op: GraphBuilder["op"] = (kind, inputs, attrs = {}, options = {}) => {
    const { outputs = 1, ...rest } = options;
    const made = graph.addOp({ ...rest, kind, inputs, attrs, types: new Array<Type>(outputs).fill(UNKNOWN) });
    inferOp(graph, made);
    return made;
  };
  return {
    graph,
    input: (n, elem, shape) => graph.addInput(n, tensorType(elem, shape)),
    constant: (n, t) => graph.addConstant(n, tensorType(t.type, t.dims), blobOf(t)),
    op,
    value: (kind, inputs, attrs, n) => op(kind, inputs, attrs, n === undefined ? {} : { name: n, outputNames: [n] }).outputs[0] as Value,
    output: (n, v) => graph.addOutput(n, v),
  };
}

/**
 * Builds a graph.
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
