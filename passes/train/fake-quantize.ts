import { z } from "zod";
import { definePass, type Edit, f32, fromNumbers, i64, type Op, type PassDefinition, tensorType, type Value } from "../../compiler/core/index.js";
import { isWeight, quantizedValues, quantizingAnchor, specsOf } from "../quantize/quantized-values.js";
import { type EdgeSpec, type FixedSpec, integersOf } from "../quantize/spec.js";
import { storedRange } from "../quantize/weights.js";
import { nextName } from "./autodiff.js";
import { type Activation, activationsOf, BIAS_RANGE, type FakeEdges, type Layer, LEAST_STEP, layersOf, type Step } from "./fake-edges.js";

const options = z
  .object({
    steps: z
      .enum(["fixed", "learned", "observed"])
      .default("fixed")
      .describe(
        "sizes of steps: as the specs say; parameters (LSQ); or those of weights follow the weights, and ranges of activations are moving averages of their extremes",
      ),
    freeze: z.number().min(0).max(1).default(0.5).describe("observed: part of the training after which ranges of activations stay"),
    momentum: z.number().min(0).max(1).default(0.01).describe("observed: part of a new range in the moving average"),
  })
  .strict();
type Options = z.infer<typeof options>;

/**
 * Replaces what specs say by fake quantization: each activation, weight and bias that materialize-qdq would store in integers is rounded to them in float. The graph
 * then computes what the integer graph will, up to the rounding of float sums, and has gradients. Values that ops only move are on their operand's grid already.
 */
const definition = (found: (edges: FakeEdges) => void) =>
  definePass({
    name: "fake-quantize",
    summary: "Round what will be quantized to its integers, in float",
    description:
      "Jacob et al. 2018, section 3. Follows the specs of annotate_int8 and observe as materialize_qdq does. `qat` calls it on the copy that it trains; with `steps: fixed` it gives the float graph that the integer one equals.",
    from: "annotated",
    to: "float",
    keeps: "lossy",
    options,
    positional: ["steps"],
    statistics: { activations: "activations rounded", weights: "weights rounded", biases: "biases rounded" },
    run({ graph, options: o, rewrite, count }) {
      const plan = specsOf(graph);
      const activations = activationsOf(graph, plan);
      const layers = layersOf(plan, activations, o.steps === "learned");
      const places = [...quantizedValues(graph, plan)].map(([v, q]) => ({ v, ...q, at: activations.of(v) }));
      for (const [op] of plan) rewrite.annotate(op, "quant", undefined, "rounded in float");
      const first = graph.ops.find((op) => op.kind !== "constant") ?? null;
      const steps = new Map<Activation, { readonly scale: Value; readonly zero: Value | null; readonly learned: boolean }>();
      const edges: FakeEdges = { activations: new Map(), layers: new Map() };
      let gate: Value | null = null;
      rewrite.patch(first, "steps of activations", (edit) => {
        if (o.steps === "observed") gate = gateOf(edit, o);
        for (const a of activations.all) {
          const made = a.exact || o.steps === "fixed" ? fixed(edit, a) : o.steps === "learned" ? learned(edit, a) : observed(edit, a);
          steps.set(a, made);
        }
      });
      for (const l of layers) layer(l);
      for (const [op, spec] of plan) op.inputs.forEach((v, i) => constant(op, i, v, spec.inputs[i] ?? null));
      for (const { v, spec, everywhere, readers, at } of places) {
        if (at.moved) continue;
        const { users, anchor, last } = quantizingAnchor(graph, v, everywhere, readers);
        const step = steps.get(at.activation);
        if (anchor === null || step === undefined) continue;
        rewrite.patch(anchor, `%${v.name} rounded as ${spec.type}`, (edit) => {
          const [low, high] = integersOf(spec.type, spec.bits);
          const y = round(edit, v, step.scale, step.zero, [low, high], step.learned ? gradientScale(elementsOf(v), high) : 0, null);
          if (last && v.producer !== null) graph.moveBefore(v.producer, y.producer as Op);
          for (const user of users) user.inputs.forEach((u, i) => u === v && edit.setInput(user, i, y));
          if (everywhere) graph.outputs.forEach((out, i) => out.value === v && graph.setOutput(i, y));
        });
        count("activations");
      }
      if (gate !== null) rewrite.patch(null, "ranges of activations are state", (edit) => observe(edit, gate as unknown as Value));
      found(edges);

      function fixed(edit: Edit, { spec, root }: Activation) {
        return { scale: edit.constant(`${root.name}.scale`, f32([], spec.scale)), zero: zeroOf(edit, root, spec), learned: false };
      }
      /** The step is a parameter, its zero point stays (Esser et al. 2020 has none; here ranges keep their proportion about 0). */
      function learned(edit: Edit, a: Activation) {
        const { value, step } = parameter(edit, `${a.root.name}.step`, a.spec.scale, null, [(a.spec.scale[0] as number) * LEAST_STEP]);
        edges.activations.set(a.root.name, { kind: "learned", step });
        return { scale: value, zero: zeroOf(edit, a.root, a.spec), learned: true };
      }
      function observed(edit: Edit, a: Activation) {
        const v = emitter(edit, a.root.name);
        const [low, high] = a.range.map((e, i) => edit.constant(`${a.root.name}.${i === 0 ? "low" : "high"}`, f32([], [e]))) as [Value, Value];
        edges.activations.set(a.root.name, { kind: "observed", low: low.name, high: high.name });
        const [least, most] = integersOf(a.spec.type, a.spec.bits);
        const tiny = v.scalar(2 ** -60);
        if (a.spec.type === "i8")
          return { scale: v("max", v("div", v("max", v("neg", low), high), v.scalar(most)), tiny), zero: null, learned: false };
        const [bottom, top] = [v("min", low, v.scalar(0)), v("max", high, v.scalar(0))];
        const scale = v("max", v("div", v("sub", top, bottom), v.scalar(most - least)), tiny);
        const zero = v("min", v("max", v("round", v("neg", v("div", bottom, scale))), v.scalar(least)), v.scalar(most));
        return { scale, zero, learned: false };
      }

      /** Moving averages of the extremes (Jacob et al. 2018, section 3.1), over all values that share the range. */
      function observe(edit: Edit, rate: Value): void {
        for (const a of activations.all) {
          const state = edges.activations.get(a.root.name);
          if (state?.kind !== "observed") continue;
          const v = emitter(edit, a.root.name);
          const seen = places.filter((p) => p.at.activation === a && !p.at.moved).map((p) => p.v);
          for (const [name, kind, both] of [
            [state.low, "reduce_min", "min"],
            [state.high, "reduce_max", "max"],
          ] as const) {
            const now = graph.value(name) as Value;
            const extreme = seen.map((x) => v(kind, { keepdims: 0 }, x)).reduce((x, y) => v(both, x, y));
            edit.addOutput(nextName(name), v("add", now, v("mul", rate, v("sub", extreme, now))));
          }
        }
      }

      /** A table that is read from, or another constant operand. */
      function constant(op: Op, i: number, v: Value | null, edge: EdgeSpec | null): void {
        if (v?.producer?.kind !== "constant" || edge?.kind !== "fixed" || isWeight(op, i)) return;
        rewrite.patch(op, "constant operand rounded", (edit) => {
          const scale = edit.constant(`${v.name}.scale`, f32([], edge.scale));
          edit.setInput(op, i, round(edit, v, scale, zeroOf(edit, v, edge), integersOf(edge.type, edge.bits), 0, null));
        });
      }

      function layer(l: Layer): void {
        const { op, spec, weights, bias, xScale, floor } = l;
        rewrite.patch(op, "weights and bias rounded", (edit) => {
          const w = op.inputs[1] as Value;
          const v = emitter(edit, w.name);
          const [low, high] = storedRange(spec.bits);
          let step: Value;
          if (o.steps === "learned") {
            const made = parameter(edit, `${w.name}.step`, l.scale, spec.axis, floor);
            edges.layers.set(l.key, { kind: "learned", step: made.step });
            step = made.value;
          } else if (o.steps === "observed") {
            edges.layers.set(l.key, { kind: "observed" });
            const axes = weights.dims.map((_, i) => i).filter((i) => i !== spec.axis);
            const most = v("reduce_max", { keepdims: 0 }, v("abs", w), edit.constant(`${w.name}.axes`, i64(axes)));
            const share = edit.constant(`${w.name}.share`, vector(l.share, spec.axis));
            step = v("max", v("mul", most, share), edit.constant(`${w.name}.floor`, vector(floor, spec.axis)));
          } else step = edit.constant(`${w.name}.scale`, vector(l.scale, spec.axis));
          const learns = o.steps === "learned" ? gradientScale(weights.data.length / l.scale.length, high) : 0;
          edit.setInput(op, 1, round(edit, w, step, null, [low, high], learns, spec.axis));
          count("weights");
          const x = xScale === null ? undefined : steps.get(xScale);
          const b = op.inputs[2];
          if (bias === null || b == null || x === undefined) return;
          edit.setInput(op, 2, round(edit, b, v("mul", x.scale, step), null, [-BIAS_RANGE, BIAS_RANGE], 0, spec.axis === null ? null : 0));
          count("biases");
        });
      }
    },
  });

/** Gives `found` the names of what training will change. */
export const fakeQuantizing = (found: (edges: FakeEdges) => void): PassDefinition => definition(found) as unknown as PassDefinition;
export const fakeQuantize = definition(() => {});

/** Factor of a step's gradient (Esser et al. 2020, section 2.2): 1 / sqrt(values * greatest integer). */
const gradientScale = (values: number, most: number): number => 1 / Math.sqrt(values * most);

/** Elements of one sample. */
const elementsOf = (v: Value): number =>
  v.type.kind === "tensor" ? (v.type.shape ?? []).slice(1).reduce<number>((n, d) => n * (typeof d === "number" ? d : 1), 1) : 1;

const vector = (values: readonly number[], axis: number | null) => f32(axis === null ? [] : [values.length], values);

const zeroOf = (edit: Edit, v: Value, { zeroPoint }: FixedSpec): Value | null =>
  zeroPoint[0] === 0 ? null : edit.constant(`${v.name}.zero`, f32([], zeroPoint));

/** A step that is learned, never less than its floor. */
function parameter(edit: Edit, name: string, values: readonly number[], axis: number | null, floor: readonly number[]): { value: Value; step: Step } {
  const p = edit.constant(name, vector(values, axis));
  const value = emitter(edit, name)("max", p, edit.constant(`${name}.floor`, vector(floor, axis)));
  return { value, step: { name: p.name, floor } };
}

function round(
  edit: Edit,
  x: Value,
  scale: Value,
  zero: Value | null,
  [low, high]: readonly [number, number],
  gradient: number,
  axis: number | null,
): Value {
  const attrs = { q_min: low, q_max: high, lsq_gradient_scale: gradient, ...(axis === null ? {} : { axis }) };
  return edit.insert("train.fake_quantize", zero === null ? [x, scale] : [x, scale, zero], { attrs, outputNames: [`${x.name}.rounded`] })
    .outputs[0] as Value;
}

/** `rate` while ranges are observed, then 0. The trainer feeds `progress`, the part of the training that is done. */
function gateOf(edit: Edit, o: Options): Value {
  const v = emitter(edit, "observers");
  const open = v("cast", { to: "f32" }, v("less", edit.addInput("progress", tensorType("f32", [])), v.scalar(o.freeze)));
  return v("mul", open, v.scalar(o.momentum));
}

type Attributes = Readonly<Record<string, number | string>>;
interface Emit {
  (kind: string, ...operands: readonly (Value | Attributes)[]): Value;
  scalar(v: number): Value;
}

const isValue = (x: Value | Attributes): x is Value => "type" in x && typeof x.type === "object";

function emitter(edit: Edit, name: string): Emit {
  const emit = (kind: string, ...operands: readonly (Value | Attributes)[]): Value =>
    edit.insert(kind, operands.filter(isValue), { attrs: Object.assign({}, ...operands.filter((x) => !isValue(x))), name }).outputs[0] as Value;
  return Object.assign(emit, { scalar: (v: number) => edit.constant(`${name}.c`, fromNumbers("f32", [], [v])) });
}
