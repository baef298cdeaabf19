import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  f32,
  fromNumbers,
  type Graph,
  type Op,
  type Tensor,
  tensor,
  toNumbers,
  type Value,
  zeros,
} from "../../compiler/core/index.js";
import { type FixedSpec, readSpec } from "./spec.js";
import { quantizeBias, storedWeights, widenForBias } from "./weights.js";

/**
 * Turns specs into QuantizeLinear / DequantizeLinear pairs: one pair per quantized value, read by all that read it; weights and biases become integer
 * constants behind a DequantizeLinear. Where a bias does not fit i32 at the scales of activation and weights, the channel's weight scale is widened and its
 * weights are quantized again (the exact range rule); each case is in the decision log.
 */
export const materializeQdq = definePass({
  name: "materialize-qdq",
  summary: "Insert quantize/dequantize pairs and store integer weights",
  from: "annotated",
  to: "quantized",
  keeps: "lossy",
  options: z.object({}).strict(),
  statistics: {
    activations: "values quantized",
    weights: "weights stored as i8",
    biases: "biases stored as i32",
    widened: "channels whose weight scale was widened for the bias",
  },
  run({ graph, rewrite, count, decide }) {
    const plan = new Map(
      [...graph.ops].flatMap((op): [Op, NonNullable<ReturnType<typeof readSpec>>][] => {
        const spec = readSpec(op);
        return spec === null ? [] : [[op, spec]];
      }),
    );
    // Annotations end here: what they said is in the graph.
    for (const [op] of plan) rewrite.annotate(op, "quant", undefined, "materialized");
    // Taken before weights get their pairs, whose results would look like activations.
    const activations = quantizedValues(graph, plan);
    const shared = new Map<string, Value>();

    /** Scales and zero points are few distinct numbers: one constant each. */
    const parameter = (edit: Edit, t: Tensor): Value => {
      const key = `${t.type}[${t.dims.join()}]:${Array.from(t.data as Float32Array).join()}`;
      const known = shared.get(key);
      if (known !== undefined) return known;
      const v = edit.constant(`${t.type === "f32" ? "s" : "z"}${shared.size}`, t);
      // Every later reader must come after it: parameters stand at the front.
      const first = graph.ops[0];
      if (first !== undefined && v.producer !== null && first !== v.producer) graph.moveBefore(v.producer, first);
      shared.set(key, v);
      return v;
    };
    const scaleConstant = (edit: Edit, s: readonly number[], axis: number | null): Value => parameter(edit, f32(axis === null ? [] : [s.length], s));
    const zeroConstant = (edit: Edit, spec: FixedSpec): Value =>
      parameter(edit, fromNumbers(spec.type, spec.axis === null ? [] : [spec.zeroPoint.length], spec.zeroPoint));

    for (const [op, spec] of plan) {
      op.inputs.forEach((v, i) => {
        const edge = spec.inputs[i];
        if (v === null || edge?.kind !== "fixed") return;
        if (isWeight(op, i))
          quantizeOperands(
            op,
            spec.inputs[0]?.kind === "fixed" ? (spec.inputs[0].scale[0] as number) : null,
            edge,
            spec.inputs[2]?.kind === "derivedFrom",
          );
        else if (v.producer?.kind === "constant") quantizeConstant(op, i, v, edge);
      });
    }
    for (const [v, { spec, everywhere, readers }] of activations) quantizeActivation(v, spec, everywhere, readers);

    /** Weights, and the bias in their steps. */
    function quantizeOperands(op: Op, xScale: number | null, edge: FixedSpec, withBias: boolean): void {
      const [w, b] = [op.inputs[1] as Value, op.inputs[2]];
      const weights = constantTensor(w) as Tensor;
      const bias = withBias && b != null && xScale !== null ? toNumbers(constantTensor(b) as Tensor) : null;
      let { scale } = edge;
      if (bias !== null && xScale !== null) {
        const wide = widenForBias(bias, xScale, scale);
        scale = wide.scales;
        if (wide.widened.length > 0) {
          count("widened", wide.widened.length);
          decide(
            op,
            "widened weight scale",
            `the bias of ${wide.widened.length} channel(s) does not fit 32 bits at the scales of activation and weights`,
            wide.widened.length,
          );
        }
      }
      rewrite.patch(op, "weights stored as i8", (edit) => {
        const q = edit.constant(`${w.name}.q`, storedWeights(graph, weights, edge, scale));
        const zero = edit.constant(`${w.name}.zero`, zeros("i8", edge.axis === null ? [] : [scale.length]));
        const dq = edit.insert("dequantize_linear", [q, scaleConstant(edit, scale, edge.axis), zero], {
          attrs: edge.axis === null ? {} : { axis: edge.axis },
          outputNames: [`${w.name}.dq`],
        });
        edit.setInput(op, 1, dq.outputs[0] as Value);
        if (w.producer !== null) edit.eraseDead(w.producer);
        const integers = edge.integers === undefined ? null : graph.value(edge.integers)?.producer;
        if (integers != null) edit.eraseDead(integers);
        count("weights");
        if (bias === null || b == null || xScale === null) return;
        const s = scale.length === 1 && bias.length > 1 ? new Array<number>(1).fill(scale[0] as number) : scale;
        const steps = s.map((e) => Math.fround(Math.fround(xScale) * Math.fround(e)));
        const bq = edit.constant(`${b.name}.q`, quantizeBias(bias, xScale, s));
        const axis = steps.length === 1 ? null : 0;
        const bdq = edit.insert(
          "dequantize_linear",
          [
            bq,
            scaleConstant(edit, steps, axis),
            parameter(
              edit,
              tensor(
                "i32",
                axis === null ? [] : [steps.length],
                steps.map(() => 0),
              ),
            ),
          ],
          { attrs: axis === null ? {} : { axis: 0 }, outputNames: [`${b.name}.dq`] },
        );
        edit.setInput(op, 2, bdq.outputs[0] as Value);
        if (b.producer !== null) edit.eraseDead(b.producer);
        count("biases");
      });
    }

    function quantizeConstant(op: Op, index: number, v: Value, edge: FixedSpec): void {
      const t = constantTensor(v) as Tensor;
      const [low, high] = edge.type === "u8" ? [0, 255] : [-128, 127];
      const [s, z] = [edge.scale[0] as number, edge.zeroPoint[0] as number];
      rewrite.patch(op, "constant operand stored in 8 bits", (edit) => {
        const q = edit.constant(
          `${v.name}.q`,
          fromNumbers(
            edge.type,
            t.dims,
            toNumbers(t).map((e) => Math.min(high, Math.max(low, Math.round(e / s) + z))),
          ),
        );
        const dq = edit.insert("dequantize_linear", [q, scaleConstant(edit, edge.scale, null), zeroConstant(edit, edge)], {
          outputNames: [`${v.name}.dq`],
        });
        edit.setInput(op, index, dq.outputs[0] as Value);
        if (v.producer !== null) edit.eraseDead(v.producer);
      });
    }

    /** A pair behind the value; all readers where the producer gives INT8, else only the INT8 ops. */
    function quantizeActivation(v: Value, spec: FixedSpec, everywhere: boolean, readers: readonly Op[]): void {
      const order = new Map(graph.ops.map((op, i) => [op, i]));
      const users = everywhere ? graph.users(v) : [...readers];
      // Behind the last op nothing stands to insert before: the producer is moved up again below.
      const last = users.length === 0 && afterProducer(graph, v) === null;
      const anchor =
        users.reduce<Op | null>((a, u) => (a === null || (order.get(u) as number) < (order.get(a) as number) ? u : a), null) ??
        afterProducer(graph, v) ??
        v.producer;
      if (anchor === null) return;
      rewrite.patch(anchor, `%${v.name} stored as ${spec.type}`, (edit) => {
        const operands = [scaleConstant(edit, spec.scale, null), zeroConstant(edit, spec)];
        const q = edit.insert("quantize_linear", [v, ...operands], { outputNames: [`${v.name}.q`] });
        const dq = edit.insert("dequantize_linear", [q.outputs[0] as Value, ...operands], { outputNames: [`${v.name}.dq`] });
        const y = dq.outputs[0] as Value;
        if (last && v.producer !== null) graph.moveBefore(v.producer, q);
        for (const user of users) user.inputs.forEach((u, i) => u === v && edit.setInput(user, i, y));
        if (everywhere) graph.outputs.forEach((o, i) => o.value === v && graph.setOutput(i, y));
      });
      count("activations");
    }
  },
});

const isWeight = (op: Op, i: number): boolean => i === 1 && ["conv", "conv_transpose", "gemm", "matmul"].includes(op.kind);

/** An op that comes later than the value's producer, as a place to insert before; `null` when the producer is the last op. */
function afterProducer(graph: Graph, v: Value): Op | null {
  const at = v.producer === null ? -1 : graph.ops.indexOf(v.producer);
  return graph.ops[at + 1] ?? null;
}

interface QuantizedValue {
  readonly spec: FixedSpec;
  readonly everywhere: boolean;
  readonly readers: Op[];
}

/** Values that are quantized, in graph order. */
function quantizedValues(graph: Graph, plan: ReadonlyMap<Op, NonNullable<ReturnType<typeof readSpec>>>): Map<Value, QuantizedValue> {
  const out = new Map<Value, QuantizedValue>();
  for (const v of graph.inputs) collect(v, null);
  for (const op of graph.ops)
    op.outputs.forEach((v, i) => collect(v, plan.get(op)?.outputs[i]?.kind === "fixed" ? (plan.get(op)?.outputs[i] as FixedSpec) : null));

  function collect(v: Value, produced: FixedSpec | null): void {
    if (v.producer?.kind === "constant") return;
    const readers = graph.users(v).filter((u) => u.inputs.some((w, i) => w === v && plan.get(u)?.inputs[i]?.kind === "fixed"));
    const spec = produced ?? firstSpec(v, readers);
    // A result that only float ops read is not stored, unless its producer needs that to run on integers.
    if (spec === null) return;
    out.set(v, { spec, everywhere: produced !== null, readers });
  }
  function firstSpec(v: Value, readers: readonly Op[]): FixedSpec | null {
    for (const u of readers) {
      const e = plan.get(u)?.inputs[u.inputs.indexOf(v)];
      if (e?.kind === "fixed") return e;
    }
    return null;
  }
  return out;
}
