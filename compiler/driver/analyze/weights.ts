/** Error and outliers of stored weights. */
import { ruleOf } from "../../../passes/quantize/rules.js";
import { quantizeWeights, weightScales } from "../../../passes/quantize/weights.js";
import { constantTensor, type Tensor, toNumbers } from "../../core/index.js";
import { decibels, type ErrorFigures, ErrorSum } from "./errors.js";
import type { Layer } from "./layers.js";
import { dequantize } from "./strip.js";

/** The error of stored weights against the source. */
export interface WeightFigures extends ErrorFigures {
  /** How they are stored: `i8, 16 scales along axis 0`, or `float`. */
  readonly stored: string;
  readonly perTensor: boolean;
  /** SQNR with one i8 scale per output channel, dB; `null` for ops that have no such axis. */
  readonly perChannelSqnr: number | null;
  /** Share of weights more than three standard deviations from the mean. */
  readonly outliers: number;
  /** What those cost: log2 of the range over the range without them, in bits of resolution. */
  readonly outlierBits: number;
  /** Weights that would lie outside the stored range. */
  readonly clipped: number;
  /** Output channel with the lowest SQNR, and that SQNR in dB. */
  readonly worstChannel: { readonly index: number; readonly sqnr: number } | null;
}

function spread(v: Float64Array): { readonly outliers: number; readonly bits: number } {
  let [sum, squares] = [0, 0];
  for (const e of v) {
    sum += e;
    squares += e * e;
  }
  const mean = sum / v.length;
  const limit = 3 * Math.sqrt(Math.max(0, squares / v.length - mean * mean));
  let [count, top, inner] = [0, 0, 0];
  for (const e of v) {
    const a = Math.abs(e);
    top = Math.max(top, a);
    if (Math.abs(e - mean) > limit) count++;
    else inner = Math.max(inner, a);
  }
  return { outliers: count / v.length, bits: inner === 0 || top === 0 ? 0 : Math.log2(top / inner) };
}

function worstChannel(a: Float64Array, b: Float64Array, t: Tensor, axis: number): WeightFigures["worstChannel"] {
  const inner = t.dims.slice(axis + 1).reduce((x, y) => x * y, 1);
  const size = t.dims[axis] as number;
  const [signal, noise] = [new Float64Array(size), new Float64Array(size)];
  a.forEach((v, i) => {
    const c = Math.floor(i / inner) % size;
    signal[c] = (signal[c] as number) + v * v;
    noise[c] = (noise[c] as number) + (v - (b[i] as number)) ** 2;
  });
  let worst: WeightFigures["worstChannel"] = null;
  for (let c = 0; c < size; c++) {
    if (signal[c] === 0) continue;
    const sqnr = decibels(signal[c] as number, noise[c] as number);
    if (worst === null || sqnr < worst.sqnr) worst = { index: c, sqnr };
  }
  return worst;
}

/** Figures of the layer's constant second operand; `null` where it has none. */
export function weightFigures(l: Layer): WeightFigures | null {
  const rule = ruleOf(l.source.kind);
  const [a, b] = [constantTensor(l.source.inputs[1]), constantTensor(l.compressed.inputs[1])];
  if (rule.kind !== "weighted" || a === null || b === null || a.type !== "f32" || a.data.length === 0 || a.data.length !== b.data.length) return null;
  const [x, y] = [toNumbers(a), toNumbers(b)];
  const error = new ErrorSum();
  error.add(x, y);
  const axis = l.source.kind === "conv_transpose" && (l.source.attrs["group"] ?? 1) !== 1 ? null : rule.weightAxis(l.source.attrs, a.dims.length);
  const { outliers, bits } = spread(x);
  const s = l.weights;
  return {
    ...error.read(),
    stored:
      s === null
        ? l.weightsLost
          ? "integers, which a BatchNorm apart scales"
          : "float"
        : `${s.data.type}, ${s.axis === null || s.oneScale ? "one scale" : `${s.scale.length} scales along axis ${s.axis}`}`,
    perTensor: s !== null && (s.axis === null || s.oneScale === true) && (axis === null || (a.dims[axis] as number) > 1),
    perChannelSqnr: axis === null ? null : perChannel(a, x, axis),
    outliers,
    outlierBits: bits,
    clipped: s === null ? 0 : clippedWeights(l, a, x),
    worstChannel: axis === null ? null : worstChannel(x, y, a, axis),
  };
}

function perChannel(t: Tensor, x: Float64Array, axis: number): number {
  const scale = weightScales(t, axis);
  const error = new ErrorSum();
  error.add(x, toNumbers(dequantize({ data: quantizeWeights(t, scale, axis), scale, zeroPoint: scale.map(() => 0), axis })));
  return error.read().sqnr;
}

/** Weights more than half a step beyond the greatest stored integer. */
function clippedWeights(l: Layer, t: Tensor, x: Float64Array): number {
  const s = l.weights;
  if (s === null || !["i8", "i4"].includes(s.data.type)) return 0;
  const most = s.data.type === "i8" ? 127.5 : 7.5;
  const inner = s.axis === null ? 1 : t.dims.slice(s.axis + 1).reduce((p, q) => p * q, 1);
  const size = s.axis === null ? 1 : (t.dims[s.axis] as number);
  let count = 0;
  x.forEach((v, i) => {
    const c = s.axis === null ? 0 : Math.floor(i / inner) % size;
    if (Math.abs(v) > most * (s.scale[c] as number) * (1 + 1e-6)) count++;
  });
  return count;
}
