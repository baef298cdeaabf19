import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  f32,
  fromNumbers,
  type Op,
  roundHalfEven,
  type Tensor,
  tensor,
  toNumbers,
  type Value,
  zeros,
} from "../../compiler/core/index.js";
import { isWeight, quantizedValues, quantizingAnchor, type SpecTable, specsOf } from "./quantized-values.js";
import { type FixedSpec, integersOf } from "./spec.js";
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
  options: z
    .object({
      pack: z
        .boolean()
        .default(true)
        .describe(
          "store weights of at most 4 bits as i4, with a Cast to i8 behind them: runtimes cast when they load the model, and run their INT8 kernels",
        ),
    })
    .strict(),
  statistics: {
    activations: "values quantized",
    weights: "weights stored as integers",
    packed: "weights stored as i4",
    biases: "biases stored as i32",
    widened: "channels whose weight scale was widened for the bias",
  },
  run({ graph, options, rewrite, count, decide }) {
    const plan: SpecTable = specsOf(graph);
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

    /** Fewer than 8 bits: the integers are clipped, which is exact, and their type stays one that INT8 kernels take. */
    const clipped = (edit: Edit, q: Value, { type, bits }: FixedSpec, limits: readonly number[] | null): Value => {
      if (limits === null && (bits === undefined || bits === 8)) return q;
      const bounds = (limits ?? integersOf(type, bits)).map((e) => parameter(edit, fromNumbers(type, [], [e])));
      return edit.insert("clip", [q, ...bounds], { outputNames: [`${q.name}.clipped`] }).outputs[0] as Value;
    };

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

    /** A clip in float that the clip of the integers can do as well: rounding is monotone. Between a product and its quantization it would keep INT8 kernels away. */
    function takeClip(edit: Edit, v: Value, { type, bits, scale, zeroPoint }: FixedSpec): readonly number[] | null {
      const op = v.producer;
      if (op?.attrs["activation"] !== "clip") return null;
      const { activation: _, clip_min: least, clip_max: most, ...attrs } = op.attrs;
      const [low, high] = integersOf(type, bits);
      const at = (x: number): number =>
        Math.min(high, Math.max(low, roundHalfEven(Math.fround(Math.fround(x) / (scale[0] as number))) + (zeroPoint[0] as number)));
      const limits = [typeof least === "number" ? at(least) : low, typeof most === "number" ? at(most) : high];
      const all = bits === undefined && limits[0] === low && limits[1] === high;
      // Runtimes see that a clip does nothing where no integer stands for a value beyond it, not where the last one rounds back to its end.
      const value = (q: number): number => Math.fround(Math.fround(scale[0] as number) * (q - (zeroPoint[0] as number)));
      if (all && (typeof least !== "number" || value(low) >= least) && (typeof most !== "number" || value(high) <= most)) return null;
      edit.setAttrs(op, attrs);
      return all ? null : limits;
    }

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
      const packed = options.pack && (edge.bits ?? 8) <= 4;
      rewrite.patch(op, `weights stored as ${packed ? "i4" : "i8"}`, (edit) => {
        const integers = storedWeights(graph, weights, edge, scale);
        const stored = edit.constant(`${w.name}.q`, packed ? { ...integers, type: "i4" } : integers);
        const q = packed ? (edit.insert("cast", [stored], { attrs: { to: "i8" }, outputNames: [`${w.name}.i8`] }).outputs[0] as Value) : stored;
        if (packed) count("packed");
        const zero = edit.constant(`${w.name}.zero`, zeros("i8", edge.axis === null ? [] : [scale.length]));
        const dq = edit.insert("dequantize_linear", [q, scaleConstant(edit, scale, edge.axis), zero], {
          attrs: edge.axis === null ? {} : { axis: edge.axis },
          outputNames: [`${w.name}.dq`],
        });
        edit.setInput(op, 1, dq.outputs[0] as Value);
        if (w.producer !== null) edit.eraseDead(w.producer);
        const given = edge.integers === undefined ? null : graph.value(edge.integers)?.producer;
        if (given != null) edit.eraseDead(given);
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
      const [low, high] = integersOf(edge.type, edge.bits);
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
      const { users, anchor, last } = quantizingAnchor(graph, v, everywhere, readers);
      if (anchor === null) return;
      rewrite.patch(anchor, `%${v.name} stored as ${spec.type}`, (edit) => {
        const operands = [scaleConstant(edit, spec.scale, null), zeroConstant(edit, spec)];
        const q = edit.insert("quantize_linear", [v, ...operands], { outputNames: [`${v.name}.q`] });
        const dq = edit.insert(
          "dequantize_linear",
          [clipped(edit, q.outputs[0] as Value, spec, everywhere ? takeClip(edit, v, spec) : null), ...operands],
          { outputNames: [`${v.name}.dq`] },
        );
        const y = dq.outputs[0] as Value;
        if (last && v.producer !== null) graph.moveBefore(v.producer, q);
        for (const user of users) user.inputs.forEach((u, i) => u === v && edit.setInput(user, i, y));
        if (everywhere) graph.outputs.forEach((o, i) => o.value === v && graph.setOutput(i, y));
      });
      count("activations");
    }
  },
});
