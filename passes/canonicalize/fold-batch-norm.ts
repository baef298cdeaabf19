import { z } from "zod";
import {
  constantTensor,
  definePass,
  f32,
  type Graph,
  num,
  nums,
  type Op,
  str,
  type Tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { scalarOf, shapeOf } from "./match.js";

/** y = scale[c] * x + shift[c], in doubles. */
interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/** The normalization as an affine map, or why it is none. */
export function affineOf(op: Op): Affine | string {
  if (num(op, "training_mode", 0) === 1 || op.outputs.length > 1) return "it is in training mode";
  const tensors = op.inputs.slice(1).map((v) => constantTensor(v));
  if (tensors.some((t) => t === null)) return "its statistics are computed";
  const [scale, bias, mean, variance] = (tensors as Tensor[]).map(toNumbers) as [Float64Array, Float64Array, Float64Array, Float64Array];
  const epsilon = num(op, "epsilon", 1e-5);
  const s = scale.map((g, c) => g / Math.sqrt((variance[c] as number) + epsilon));
  const shift = s.map((v, c) => (bias[c] as number) - v * (mean[c] as number));
  return s.every(Number.isFinite) && shift.every(Number.isFinite) ? { scale: s, shift } : "its statistics are not finite (negative variance?)";
}

/** Weights with each output channel scaled; `axisOfOutput(i)` gives the channel of flat index `i`. */
const scaled = (w: Tensor, channel: (i: number) => number, scale: Float64Array): Tensor =>
  f32(
    w.dims,
    toNumbers(w).map((v, i) => v * (scale[channel(i)] as number)),
  );

/** False where a weight left the range of f32, or was not finite before. */
const finite = (...tensors: readonly Tensor[]): boolean => tensors.every((t) => toNumbers(t).every(Number.isFinite));
const NOT_FINITE = "the folded weights would not be finite";

const product = (v: readonly number[]): number => v.reduce((a, b) => a * b, 1);

/** Output channel of each weight element, by producer kind; `null` when the kind is not folded into. */
function outputChannel(op: Op, w: Tensor): ((i: number) => number) | null {
  switch (op.kind) {
    case "conv": {
      const per = product(w.dims.slice(1));
      return (i) => Math.floor(i / per);
    }
    case "conv_transpose": {
      const [inputs = 1, perGroup = 1] = w.dims;
      const area = product(w.dims.slice(2));
      const inGroup = inputs / num(op, "group", 1);
      return (i) => Math.floor(Math.floor(i / (area * perGroup)) / inGroup) * perGroup + (Math.floor(i / area) % perGroup);
    }
    case "gemm": {
      const columns = w.dims[1] as number;
      return num(op, "transB", 0) === 1 ? (i) => Math.floor(i / columns) : (i) => i % columns;
    }
    default:
      return null;
  }
}

/** Adds the affine map to a producer with constant weights. The reason when it cannot be. */
function canFoldInto(graph: Graph, producer: Op): string | null {
  if (!["conv", "conv_transpose", "gemm"].includes(producer.kind)) return `${producer.kind} has no weights to fold into`;
  if (graph.onlyUser(producer.outputs[0] as Value) === null) return `the result of ${producer.kind} "${producer.name}" is read by others too`;
  if (producer.attrs["activation"] !== undefined || producer.inputs[3] != null) return "an activation or a residual stands between";
  const w = constantTensor(producer.inputs[1]);
  if (w === null || w.type !== "f32") return "the weights are no f32 constant";
  const bias = producer.inputs[2];
  if (bias != null) {
    const b = constantTensor(bias);
    if (b === null || b.type !== "f32") return "the bias is no f32 constant";
    if (producer.kind === "gemm" && (b.dims.length > 2 || (b.dims.length === 2 && b.dims[0] !== 1))) return "the bias of the gemm is a matrix";
  }
  // Without a bias, too: beta would scale the one that folding makes.
  if (producer.kind === "gemm" && num(producer, "beta", 1) !== 1) return "the bias of the gemm is scaled";
  return null;
}

/** True when the pad moves values only along spatial axes. */
function spatialPads(pad: Op): boolean {
  const pads = constantTensor(pad.inputs[1]);
  if (pads === null || pad.inputs[3] != null) return false;
  const v = toNumbers(pads);
  const rank = v.length / 2;
  return [0, 1, rank, rank + 1].every((i) => v[i] === 0);
}

/**
 * Folds inference-mode batch normalization into the convolution, transposed convolution or gemm before it, also where a Pad stands between, and into the
 * convolution after it where that is exact: padding puts zeros behind the normalization, so a shift may only pass a convolution without padding.
 * Arithmetic in doubles, one rounding to f32 per weight (Jacob et al. 2018, section 3.2). What is not folded is in the decision log with the reason.
 */
export const foldBatchNorm = definePass({
  name: "fold-batch-norm",
  summary: "Fold batch normalization into neighbouring weights",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: {
    after: "folded into the op before",
    through: "of these, through a pad",
    before: "folded into the convolution after",
    kept: "left as they are",
  },
  run({ graph, rewrite, count, decide }) {
    for (const bn of graph.opsOf("batch_normalization")) {
      const affine = affineOf(bn);
      if (typeof affine === "string") {
        keep(bn, affine);
        continue;
      }
      const reasons: string[] = [];
      if (!foldBackward(bn, affine, reasons) && !foldForward(bn, affine, reasons))
        keep(bn, [...new Set(reasons)].join("; ") || "no weights stand before or after it");
    }

    function keep(bn: Op, reason: string): void {
      count("kept");
      decide(bn, "kept", reason);
    }

    function foldBackward(bn: Op, { scale, shift }: Affine, reasons: string[]): boolean {
      const refuse = (reason: string): false => {
        reasons.push(reason);
        return false;
      };
      const x = bn.inputs[0] as Value;
      const pad = x.producer?.kind === "pad" ? x.producer : null;
      const producer = (pad === null ? x : (pad.inputs[0] as Value)).producer;
      if (producer === null) return false;
      const reason = canFoldInto(graph, producer);
      if (reason !== null) {
        reasons.push(reason);
        return false;
      }
      let padValue: number | null = null;
      if (pad !== null) {
        if (graph.onlyUser(pad.outputs[0] as Value) === null) return refuse("the padded value is read by others too");
        if (!spatialPads(pad)) return refuse("the pad touches channels, or its widths are computed");
        if (str(pad, "mode", "constant") === "constant") {
          const v = pad.inputs[2] == null ? 0 : scalarOf(pad.inputs[2]);
          if (v === null) return refuse("the pad's value is computed");
          const after = scale.map((s, c) => Math.fround(s * v + (shift[c] as number)));
          if (!after.every((a) => a === after[0])) return refuse("normalizing the padding gives another value in each channel");
          padValue = after[0] ?? 0;
        }
      }
      const w = constantTensor(producer.inputs[1]) as Tensor;
      const channel = outputChannel(producer, w) as (i: number) => number;
      const old = constantTensor(producer.inputs[2]);
      const oldBias = old === null ? null : toNumbers(old);
      const bias = shift.map((v, c) => v + (oldBias === null ? 0 : (scale[c] as number) * (oldBias[oldBias.length === 1 ? 0 : c] as number)));
      const name = producer.name || producer.kind;
      const [wNew, bNew] = [scaled(w, channel, scale), f32([bias.length], bias)];
      if (!finite(wNew, bNew)) return refuse(NOT_FINITE);
      rewrite.patch(producer, `batch normalization "${bn.name}" folded`, (edit) => {
        const [wOld, bOld] = [producer.inputs[1] as Value, producer.inputs[2]];
        edit.setInput(producer, 1, edit.constant(wOld.name, wNew));
        edit.setInput(producer, 2, edit.constant(bOld?.name ?? `${name}.bias`, bNew));
        if (pad !== null && padValue !== null && (padValue !== 0 || pad.inputs[2] != null))
          edit.setInput(pad, 2, edit.constant(`${pad.name || "pad"}.value`, f32([], [padValue])));
        edit.replaceAllUses(bn.outputs[0] as Value, x);
        edit.eraseDead(bn);
        for (const v of [wOld, bOld]) if (v?.producer != null) edit.eraseDead(v.producer);
      });
      count("after");
      if (pad !== null) count("through");
      return true;
    }

    function foldForward(bn: Op, { scale, shift }: Affine, reasons: string[]): boolean {
      const refuse = (reason: string): false => {
        reasons.push(reason);
        return false;
      };
      const y = bn.outputs[0] as Value;
      let data = y;
      let user = graph.onlyUser(y);
      let padded = false;
      if (user?.kind === "pad") {
        if (str(user, "mode", "constant") === "constant") padded = true;
        if (!spatialPads(user) || (padded && user.inputs[2] != null && scalarOf(user.inputs[2]) !== 0))
          return refuse("the pad behind it is of another kind");
        data = user.outputs[0] as Value;
        user = graph.onlyUser(data);
      }
      // The value may also be the convolution's residual: that is no place for weights.
      if (user?.kind !== "conv" || user.inputs[0] !== data) return false;
      const w = constantTensor(user.inputs[1]);
      const b = user.inputs[2] == null ? null : constantTensor(user.inputs[2]);
      if (w === null || w.type !== "f32" || (user.inputs[2] != null && b === null)) return refuse("the weights after it are no f32 constants");
      if (nums(user, "pads").some((p) => p !== 0) || str(user, "auto_pad", "NOTSET").startsWith("SAME")) padded = true;
      if (padded && shift.some((v) => v !== 0)) return refuse("the convolution after it pads with zeros, which the shift would change");
      const group = num(user, "group", 1);
      const [outputs = 1, inGroup = 1] = w.dims;
      const taps = product(w.dims.slice(2));
      const channel = (i: number): number =>
        Math.floor(Math.floor(i / (inGroup * taps)) / (outputs / group)) * inGroup + (Math.floor(i / taps) % inGroup);
      const old = toNumbers(w);
      const bias = b === null ? new Float64Array(outputs) : toNumbers(b);
      old.forEach((v, i) => {
        bias[Math.floor(i / (inGroup * taps))]! += v * (shift[channel(i)] as number);
      });
      const conv = user;
      if (shapeOf(bn.inputs[0])?.length !== w.dims.length) return refuse("the shape of its operand is not known");
      const [wNew, bNew] = [scaled(w, channel, scale), f32([outputs], bias)];
      if (!finite(wNew, bNew)) return refuse(NOT_FINITE);
      rewrite.patch(conv, `batch normalization "${bn.name}" before it folded`, (edit) => {
        const [wOld, bOld] = [conv.inputs[1] as Value, conv.inputs[2]];
        edit.setInput(conv, 1, edit.constant(wOld.name, wNew));
        edit.setInput(conv, 2, edit.constant(bOld?.name ?? `${conv.name || "conv"}.bias`, bNew));
        edit.replaceAllUses(y, bn.inputs[0] as Value);
        edit.eraseDead(bn);
        for (const v of [wOld, bOld]) if (v?.producer != null) edit.eraseDead(v.producer);
      });
      count("before");
      return true;
    }
  },
});
