/** What fake quantization rounds, from the specs; and the specs of what training made of it. */
import { constantTensor, type Graph, isConstant, type Json, type Op, type Tensor, toNumbers, type Value } from "../../compiler/core/index.js";
import { quantizedValues, type SpecTable, specsOf } from "../quantize/quantized-values.js";
import { paramsOf } from "../quantize/ranges.js";
import { ruleOf } from "../quantize/rules.js";
import { shareParameters } from "../quantize/sharing.js";
import { type EdgeSpec, type FixedSpec, integersOf, type OpSpec } from "../quantize/spec.js";
import { sliceOf, storedRange, widenForBias } from "../quantize/weights.js";

/** A learned step stays above this share of what it starts from. */
export const LEAST_STEP = 2 ** -10;
/** Integers of biases. Far from it in use: scales of weights are widened where a bias would come near. */
export const BIAS_RANGE = 2 ** 31 - 128;

/** Values with one set of parameters. */
export interface Activation {
  readonly root: Value;
  readonly spec: FixedSpec;
  /** Least and greatest value that the integers stand for. */
  readonly range: readonly [number, number];
  /** Its parameters are exact (an image on its own grid, a table): nothing is learned. */
  readonly exact: boolean;
}

/** A product with its weights and bias. */
export interface Layer {
  readonly key: string;
  readonly op: Op;
  readonly spec: FixedSpec;
  readonly weights: Tensor;
  /** Where it is stored as integers. */
  readonly bias: Tensor | null;
  readonly xScale: Activation | null;
  /** Scales as they will be stored, widened where the bias asks for it. */
  readonly scale: readonly number[];
  /** Scale over greatest magnitude, per scale. */
  readonly share: readonly number[];
  readonly floor: readonly number[];
}

export interface Step {
  readonly name: string;
  readonly floor: readonly number[];
}

/** Names of the constants that hold parameters of activations (by root) and steps of weights (by the layer's result). */
export interface FakeEdges {
  readonly activations: Map<string, { readonly kind: "learned"; readonly step: Step } | { readonly kind: "observed"; low: string; high: string }>;
  readonly layers: Map<string, { readonly kind: "learned"; readonly step: Step } | { readonly kind: "observed" }>;
}

export interface Activations {
  readonly all: readonly Activation[];
  /** `moved`: the value is on its operand's grid already. */
  of(v: Value): { readonly activation: Activation; readonly moved: boolean };
}

export function activationsOf(graph: Graph, plan: SpecTable): Activations {
  const kindOf = (op: Op | null) => (op !== null && plan.has(op) ? ruleOf(op.kind).kind : undefined);
  const sharing = shareParameters(graph, kindOf);
  const all = new Map<Value, Activation>();
  for (const [v, { spec }] of quantizedValues(graph, plan)) {
    const root = sharing.root(v);
    if (all.has(root)) continue;
    const [least, most] = integersOf(spec.type, spec.bits);
    const [scale, zero] = [spec.scale[0] as number, spec.zeroPoint[0] as number];
    const exact = isConstant(root) || graph.users(root).some((op) => op.inputs[0] === root && op.annotations["grid"] !== undefined);
    all.set(root, { root, spec, range: [(least - zero) * scale, (most - zero) * scale], exact });
  }
  return {
    all: [...all.values()],
    of(v) {
      const kind = kindOf(v.producer);
      return { activation: all.get(sharing.root(v)) as Activation, moved: kind === "shared" || kind === "joined" };
    },
  };
}

/** Products whose weights will be stored as integers. With `learned`, floors are those of learned steps. */
export function layersOf(plan: SpecTable, activations: Activations, learned: boolean): Layer[] {
  return [...plan].flatMap(([op, spec]): Layer[] => {
    const edge = spec.inputs[1];
    const weights = constantTensor(op.inputs[1] ?? null);
    if (!["conv", "conv_transpose", "gemm", "matmul"].includes(op.kind) || edge?.kind !== "fixed" || weights === null) return [];
    const bias = spec.inputs[2]?.kind === "derivedFrom" ? constantTensor(op.inputs[2] ?? null) : null;
    const xScale = bias !== null && spec.inputs[0]?.kind === "fixed" ? activations.of(op.inputs[0] as Value).activation : null;
    const most = magnitudes(weights, edge.axis);
    const share = edge.scale.map((s, c) => Math.fround(most[c] === 0 ? 1 / storedRange(edge.bits)[1] : s / (most[c] as number)));
    const scale = bias === null || xScale === null ? edge.scale : widenForBias(toNumbers(bias), xScale.spec.scale[0] as number, edge.scale).scales;
    const needed = scale.map((s, c) => (s > (edge.scale[c] as number) ? s : 0));
    const floor = scale.map((s, c) => Math.fround(Math.max(needed[c] as number, learned ? s * LEAST_STEP : 2 ** -60)));
    return [{ key: keyOf(op), op, spec: edge, weights, bias, xScale, scale, share, floor }];
  });
}

/** Greatest magnitude of each slice, or of the tensor. */
function magnitudes(w: Tensor, axis: number | null): number[] {
  const at = axis === null ? () => 0 : sliceOf(w.dims, axis);
  const most = new Array<number>(axis === null ? 1 : (w.dims[axis] as number)).fill(0);
  toNumbers(w).forEach((v, i) => {
    most[at(i)] = Math.max(most[at(i)] as number, Math.abs(v));
  });
  return most;
}

const keyOf = (op: Op): string => op.outputs[0]?.name ?? op.name;

/**
 * Specs with what training made of the parameters: by op, those that changed. `states` by name; weights and steps that are not among them (frozen, or on the way to
 * an output without a loss) are the graph's.
 */
export function trainedSpecs(graph: Graph, edges: FakeEdges, states: ReadonlyMap<string, Tensor>): Map<Op, Json> {
  const plan = specsOf(graph);
  const activations = activationsOf(graph, plan);
  const layers = new Map(layersOf(plan, activations, false).map((l) => [l.op, l]));
  const values = (name: string): readonly number[] => Array.from(toNumbers(states.get(name) as Tensor));
  const stepOf = ({ name, floor }: Step): number[] => values(name).map((s, i) => Math.max(Math.fround(s), floor[i] as number));
  const renewed = new Map<Activation, Pick<FixedSpec, "scale" | "zeroPoint">>();
  for (const a of activations.all) {
    const e = edges.activations.get(a.root.name);
    if (e?.kind === "learned" && states.has(e.step.name)) renewed.set(a, { scale: stepOf(e.step), zeroPoint: a.spec.zeroPoint });
    if (e?.kind !== "observed") continue;
    const range = { low: values(e.low)[0] as number, high: values(e.high)[0] as number };
    const p = paramsOf(range, a.spec.type, a.spec.type === "i8" ? "symmetric" : "asymmetric", a.spec.bits);
    renewed.set(a, { scale: [p.scale], zeroPoint: [p.zeroPoint] });
  }
  const activation = (edge: EdgeSpec | null, v: Value | null | undefined): EdgeSpec | null => {
    if (edge?.kind !== "fixed" || v == null || isConstant(v)) return edge;
    const by = renewed.get(activations.of(v).activation);
    return by === undefined ? edge : { ...edge, ...by };
  };
  const weights = (l: Layer): FixedSpec => {
    const e = edges.layers.get(l.key);
    if (e === undefined) return l.spec;
    if (e.kind === "learned") return states.has(e.step.name) ? { ...l.spec, scale: stepOf(e.step) } : l.spec;
    const now = states.get((l.op.inputs[1] as Value).name) ?? l.weights;
    return { ...l.spec, scale: magnitudes(now, l.spec.axis).map((m, c) => Math.max(Math.fround(m * (l.share[c] as number)), l.floor[c] as number)) };
  };
  return new Map(
    [...plan].map(([op, spec]): [Op, Json] => {
      const l = layers.get(op);
      const inputs = spec.inputs.map((e, i) => (i === 1 && l !== undefined ? weights(l) : activation(e, op.inputs[i])));
      return [op, { inputs, outputs: spec.outputs.map((e, i) => activation(e, op.outputs[i])) } satisfies OpSpec as unknown as Json];
    }),
  );
}
