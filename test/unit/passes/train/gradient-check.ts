/** Gradients of a graph beside central differences of its loss, both by the ops' scalar reference evaluation in double. */
import {
  type Attrs,
  constantTensor,
  fromNumbers,
  type Graph,
  graphBuilder,
  type Op,
  opDefinition,
  randomFrom,
  type Tensor,
  toNumbers,
  type Value,
} from "../../../../compiler/core/index.js";
import { runPasses } from "../support.js";

/** An operand: a tensor that is differentiated, or one that is given. */
export interface Operand {
  readonly dims: readonly number[];
  readonly values?: readonly number[];
  /** Range of random values; default -2 to 2. */
  readonly range?: readonly [number, number];
  readonly fixed?: Tensor;
  /** Not differentiated: a float that rules see as given. */
  readonly still?: boolean;
}

export interface GradientCase {
  readonly name?: string;
  readonly kind: string;
  readonly operands: readonly (Operand | null)[];
  readonly attrs?: Attrs;
  readonly outputs?: number;
  /** Results that the loss is made of; default: the first. */
  readonly of?: readonly number[];
}

export const x = (...dims: number[]): Operand => ({ dims });
export const within = (low: number, high: number, ...dims: number[]): Operand => ({ dims, range: [low, high] });
export const ints = (...values: number[]): Operand => ({ dims: [values.length], fixed: fromNumbers("i64", [values.length], values) });
export const still = (dims: readonly number[], values: readonly number[]): Operand => ({ dims, values, still: true });

/** y = f(operands), loss = sum of y times fixed random weights. Parameters are the constants p0, p1, … */
export function lossGraph(c: GradientCase, elem: "f64" | "f32"): { readonly graph: Graph; readonly parameters: readonly string[] } {
  const b = graphBuilder("check");
  const random = randomFrom(7);
  const parameters: string[] = [];
  const operands = c.operands.map((o, i): Value | null => {
    if (o === null) return null;
    if (o.fixed !== undefined) return b.constant(`c${i}`, o.fixed);
    const n = o.dims.reduce((p, q) => p * q, 1);
    const [low, high] = o.range ?? [-2, 2];
    // Drawn the same for either type; f32 values are exact in f64, so both graphs have the same parameters.
    const values = o.values ?? Array.from({ length: n }, () => Math.fround(low + (high - low) * random()));
    if (!o.still) parameters.push(`p${i}`);
    return b.constant(`${o.still ? "c" : "p"}${i}`, fromNumbers(elem, o.dims, values));
  });
  const op = b.op(c.kind, operands, c.attrs ?? {}, { outputs: c.outputs ?? 1, name: "op" });
  const terms = (c.of ?? [0]).map((i) => {
    const y = op.outputs[i] as Value;
    const dims = (y.type.kind === "tensor" ? y.type.shape : null) as readonly number[];
    const weights = b.constant(
      `w${i}`,
      fromNumbers(
        elem,
        dims,
        Array.from({ length: dims.reduce((p, q) => p * q, 1) }, () => Math.fround(2 * random() - 1)),
      ),
    );
    return b.value("reduce_sum", [b.value("mul", [y, weights])], { keepdims: 0 });
  });
  b.output(
    "loss",
    terms.slice(1).reduce((p, q) => b.value("add", [p, q]), terms[0] as Value),
  );
  return { graph: b.graph, parameters };
}

/** All values of a graph whose inputs are fed; constants may be given others. */
export function evaluate(graph: Graph, given: ReadonlyMap<string, Tensor> = new Map()): (v: Value) => Tensor {
  const values = new Map<Value, Tensor>();
  for (const v of graph.inputs) values.set(v, given.get(v.name) as Tensor);
  const at = (v: Value | null): Tensor | null => (v === null ? null : (values.get(v) as Tensor));
  for (const op of graph.ops) {
    const results =
      op.kind === "constant"
        ? [given.get((op.outputs[0] as Value).name) ?? (constantTensor(op.outputs[0]) as Tensor)]
        : (opDefinition(op.kind)?.evaluate?.(op as Op, op.inputs.map(at)) ?? []);
    op.outputs.forEach((v, i) => {
      values.set(v, results[i] as Tensor);
    });
  }
  return (v) => values.get(v) as Tensor;
}

export const outputOf = (graph: Graph, name: string): Value => graph.outputs.find((o) => o.name === name)?.value as Value;

/** Gradients by autodiff. */
export async function gradientsOf(
  graph: Graph,
  parameters: readonly string[],
  given?: ReadonlyMap<string, Tensor>,
  passes = "",
): Promise<Map<string, Tensor>> {
  const training = graph.clone();
  await runPasses(training, `${passes}autodiff {parameters=[${parameters.map((p) => JSON.stringify(p)).join(", ")}]}`);
  const at = evaluate(training, given);
  return new Map(parameters.map((p) => [p, at(outputOf(training, `grad.${p}`))]));
}

/** Central differences of the loss with respect to one element of a parameter (a constant or a fed input). */
export function difference(graph: Graph, parameter: string, index: number, given: ReadonlyMap<string, Tensor> = new Map(), step = 1e-5): number {
  const tensor = given.get(parameter) ?? (constantTensor(graph.value(parameter)) as Tensor);
  const lossAt = (by: number): number => {
    const values = toNumbers(tensor);
    values[index]! += by;
    const at = evaluate(graph, new Map([...given, [parameter, fromNumbers("f64", tensor.dims, values)]]));
    return toNumbers(at(outputOf(graph, "loss")))[0] as number;
  };
  return (lossAt(step) - lossAt(-step)) / (2 * step);
}

/** Largest |a - b| as a part of the larger of both, and of a hundredth of the largest element: below that a difference is noise. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let top = 0;
  for (let i = 0; i < a.length; i++) top = Math.max(top, Math.abs(a[i] as number), Math.abs(b[i] as number));
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const [p, q] = [a[i] as number, b[i] as number];
    if (!Number.isFinite(p) || !Number.isFinite(q)) return Number.POSITIVE_INFINITY;
    if (p !== q) worst = Math.max(worst, Math.abs(p - q) / Math.max(Math.abs(p), Math.abs(q), top / 100, 1e-6));
  }
  return worst;
}
