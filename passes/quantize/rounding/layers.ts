/** The layers whose rounding can be learned, as matrices: for each block, channels × depth weights that multiply columns of depth inputs. */
import { type Columns, constantTensor, fail, num, type Op, type Tensor, toNumbers, type Value } from "../../../compiler/core/index.js";
import { windowAttrs } from "../../lower/window-attrs.js";
import { type EdgeSpec, type FixedSpec, readSpec } from "../spec.js";
import { widenForBias } from "../weights.js";

/** Deeper layers are handled in blocks of input channels: the factorization takes depth³ steps. */
const MOST_DEPTH = 2304;

export interface Layer {
  readonly op: Op;
  readonly x: Value;
  readonly weights: Tensor;
  /** Of the weights; scales are wide enough for the bias. */
  readonly edge: FixedSpec;
  readonly widened: number;
  /** Groups of the convolution, each in `parts` blocks of input channels between which moments are taken as 0. */
  readonly groups: number;
  readonly parts: number;
  /** Output channels of a group, and inputs of a block. */
  readonly channels: number;
  readonly depth: number;
}

export const blocksOf = (l: Layer): number => l.groups * l.parts;
/** Bytes of a layer's second moments. */
export const momentBytes = (l: Layer): number => 8 * blocksOf(l) * l.depth * (l.depth + 1);

/** A layer, or why its weights are rounded to nearest; `null` for ops without integer weights. */
export function layerOf(op: Op, memoryBytes: number): Layer | string | null {
  const spec = readSpec(op);
  const edge = spec?.inputs[1];
  if (spec === null || edge?.kind !== "fixed" || !["conv", "gemm", "matmul", "conv_transpose"].includes(op.kind)) return null;
  const x = op.inputs[0] as Value;
  const weights = constantTensor(op.inputs[1] ?? null);
  if (weights === null) return "its weights are computed";
  if (op.kind === "conv_transpose") return "transposed convolutions are rounded to nearest";
  if (op.kind === "conv" && weights.dims.length > 4) return `it has ${weights.dims.length - 2} spatial axes`;
  if (x.producer?.kind === "constant") return "its input is a constant";
  if (weights.data.length === 0) return "its weights are empty";
  const { scales, widened } = scalesFor(op, spec.inputs[0] ?? null, edge, spec.inputs[2]?.kind === "derivedFrom");
  const shape =
    op.kind === "conv"
      ? {
          groups: num(op, "group", 1),
          inputs: weights.dims[1] as number,
          taps: weights.dims.slice(2).reduce((a, b) => a * b, 1),
          outputs: weights.dims[0] as number,
        }
      : { groups: 1, inputs: weights.dims[byRow(op) ? 1 : 0] as number, taps: 1, outputs: weights.dims[byRow(op) ? 0 : 1] as number };
  for (let parts = 1; parts <= shape.inputs; parts++) {
    if (shape.inputs % parts !== 0) continue;
    const layer: Layer = {
      op,
      x,
      weights,
      edge: { ...edge, scale: scales },
      widened: widened.length,
      groups: shape.groups,
      parts,
      channels: shape.outputs / shape.groups,
      depth: (shape.inputs / parts) * shape.taps,
    };
    if (layer.depth <= MOST_DEPTH && momentBytes(layer) <= memoryBytes) return layer;
  }
  return "the second moments of its input do not fit `memory`";
}

/** Scales as they will be stored: the rule for biases comes before rounding, as integers belong to a scale. */
function scalesFor(op: Op, x: EdgeSpec | null, edge: FixedSpec, withBias: boolean): ReturnType<typeof widenForBias> {
  const bias = constantTensor(op.inputs[2] ?? null);
  if (!withBias || bias === null || x?.kind !== "fixed") return { scales: [...edge.scale], widened: [] };
  return widenForBias(toNumbers(bias), x.scale[0] as number, edge.scale);
}

/** Weights [outputs][inputs]; else [inputs][outputs]. */
const byRow = (op: Op): boolean => op.kind === "conv" || (op.kind === "gemm" && op.attrs["transB"] === 1);

/** Flat index of the weight of output channel `o` (in the group) and input `k` (in the block). */
export function indexIn(l: Layer, block: number): (o: number, k: number) => number {
  const group = Math.floor(block / l.parts);
  const part = block % l.parts;
  const row = l.depth * l.parts;
  if (byRow(l.op)) return (o, k) => (group * l.channels + o) * row + part * l.depth + k;
  return (o, k) => (part * l.depth + k) * l.channels + o;
}

/** Where the columns of a layer lie in an operand of these sizes. */
export function columnsOf(l: Layer, dims: readonly number[]): Columns {
  const one = {
    height: 1,
    width: 1,
    outH: 1,
    outW: 1,
    kernelH: 1,
    kernelW: 1,
    strideH: 1,
    strideW: 1,
    dilationH: 1,
    dilationW: 1,
    padTop: 0,
    padLeft: 0,
  };
  if (l.op.kind !== "conv") {
    const channels = dims[dims.length - 1] as number;
    return { ...one, matrix: true, images: dims.slice(0, -1).reduce((a, b) => a * b, 1), channels, groups: l.parts };
  }
  const kernel = l.weights.dims.slice(2);
  const spatial = dims.slice(2);
  const w = windowAttrs(l.op, spatial, kernel);
  if (typeof w === "string") return fail("CEC6003", { message: `conv "${l.op.name}": ${w}` });
  const [height, width] = spatial.length === 1 ? [1, spatial[0] as number] : (spatial as [number, number]);
  const [kernelH, kernelW] = kernel.length === 1 ? [1, kernel[0] as number] : (kernel as [number, number]);
  const [strideH, strideW] = w.strides as [number, number];
  const [dilationH, dilationW] = w.dilations as [number, number];
  const [padTop, padLeft, padBottom, padRight] = w.pads as [number, number, number, number];
  const out = (size: number, pads: number, k: number, stride: number, dilation: number): number =>
    Math.max(0, Math.floor((size + pads - dilation * (k - 1) - 1) / stride) + 1);
  return {
    matrix: false,
    images: dims[0] as number,
    channels: dims[1] as number,
    groups: blocksOf(l),
    height,
    width,
    outH: out(height, padTop + padBottom, kernelH, strideH, dilationH),
    outW: out(width, padLeft + padRight, kernelW, strideW, dilationW),
    kernelH,
    kernelW,
    strideH,
    strideW,
    dilationH,
    dilationW,
    padTop,
    padLeft,
  };
}

/** Layers with this key have the same columns. */
export const columnKey = (l: Layer): string =>
  JSON.stringify([
    l.x.name,
    l.op.kind === "conv"
      ? [l.weights.dims.slice(2), l.op.attrs["strides"], l.op.attrs["dilations"], l.op.attrs["pads"], l.op.attrs["auto_pad"]]
      : null,
    l.groups,
    l.parts,
  ]);
