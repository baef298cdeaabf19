/**
 * Cross-layer equalization scales a layer's output channels and divides the next layer's weights by the same (Nagel et al. 2019, "Data-Free Quantization
 * Through Weight Equalization and Bias Correction"). The network is the same, its activations are not: the source is scaled alike before they are compared.
 */
import { blobOf, constantTensor, f32, type Graph, num, type Op, type Tensor, toNumbers, type Value } from "../../core/index.js";

/** f(k·x) = k·f(x) channel by channel, for k > 0. */
const homogeneous: ReadonlySet<string> = new Set([
  "relu",
  "leaky_relu",
  "max_pool",
  "average_pool",
  "global_max_pool",
  "global_average_pool",
  "identity",
]);

/** Factors nearer to 1 than this are quantization, not equalization. */
const NOISE = 0.05;
/** Channels whose weights point elsewhere were retrained, not scaled. */
const LIKE = 0.9;

const f32Constant = (v: Value | null | undefined): Tensor | null => {
  const t = constantTensor(v);
  return t?.type === "f32" ? t : null;
};

/** Axis of the output channels in operand 1; `null` for what is not scaled. */
const outputAxis = (op: Op): number | null => {
  if (op.kind === "conv") return 0;
  if (op.kind === "gemm") return num(op, "transB", 0) === 1 ? 0 : 1;
  return null;
};

/** The one weighted op that reads the channels, and the axis of its weights that they stand on. */
function onlyReader(graph: Graph, op: Op): { readonly reader: Op; readonly axis: number } | null {
  if (op.attrs["activation"] !== undefined && op.attrs["activation"] !== "relu") return null;
  for (let v = op.outputs[0] as Value; ; ) {
    const user = graph.onlyUser(v);
    if (user === null || user.inputs[0] !== v) return null;
    if (homogeneous.has(user.kind)) {
      v = user.outputs[0] as Value;
      continue;
    }
    const w = f32Constant(user.inputs[1]);
    if (w === null) return null;
    if (user.kind === "gemm") return { reader: user, axis: num(user, "transB", 0) === 1 ? 1 : 0 };
    if (user.kind !== "conv") return null;
    const group = num(user, "group", 1);
    // Depthwise: filter and channel are one.
    return group === 1 ? { reader: user, axis: 1 } : w.dims[0] === group && w.dims[1] === 1 ? { reader: user, axis: 0 } : null;
  }
}

const channelOf = (dims: readonly number[], axis: number): ((i: number) => number) => {
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  return (i) => Math.floor(i / inner) % (dims[axis] as number);
};

/** Least-squares factor of each channel from `a` to `b`; `null` where nothing was scaled. */
function factors(a: Tensor, b: Tensor, axis: number): Float64Array | null {
  const [x, y, at] = [toNumbers(a), toNumbers(b), channelOf(a.dims, axis)];
  const n = a.dims[axis] as number;
  const [xx, xy, yy] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)];
  x.forEach((v, i) => {
    const c = at(i);
    const w = y[i] as number;
    xx[c]! += v * v;
    xy[c]! += v * w;
    yy[c]! += w * w;
  });
  const out = xx.map((s, c) => {
    const [p, q] = [xy[c] as number, yy[c] as number];
    return p > LIKE * Math.sqrt(s * q) && s > 0 ? p / s : 1;
  });
  return out.some((r) => Math.abs(r - 1) > NOISE) ? out : null;
}

/**
 * Scales the source's channels as the compressed model's are, in place. What it computes stays the same.
 * @returns names of the layers that were scaled
 */
export function alignScales(source: Graph, ops: ReadonlyMap<Op, Op>): string[] {
  const scaled: string[] = [];
  const replace = (op: Op, i: number, t: Tensor, by: (i: number) => number): void => {
    const v = op.inputs[i] as Value;
    const data = f32(
      t.dims,
      toNumbers(t).map((e, k) => e * by(k)),
    );
    source.setInput(op, i, source.addConstant(v.name, v.type, blobOf(data), op));
  };
  for (const s of [...source.ops]) {
    const axis = outputAxis(s);
    const next = axis === null ? null : onlyReader(source, s);
    const [a, b] = [f32Constant(s.inputs[1]), f32Constant(ops.get(s)?.inputs[1])];
    if (axis === null || next === null || a === null || b === null || String(a.dims) !== String(b.dims)) continue;
    const bias = s.inputs[2] == null ? null : f32Constant(s.inputs[2]);
    const w = f32Constant(next.reader.inputs[1]) as Tensor;
    const r = factors(a, b, axis);
    if (r === null || (s.inputs[2] != null && bias === null) || w.dims[next.axis] !== r.length) continue;
    const [from, to] = [channelOf(a.dims, axis), channelOf(w.dims, next.axis)];
    replace(s, 1, a, (i) => r[from(i)] as number);
    if (bias !== null) replace(s, 2, bias, (i) => r[i] as number);
    replace(next.reader, 1, w, (i) => 1 / (r[to(i)] as number));
    scaled.push(s.name || (s.outputs[0]?.name ?? s.kind));
  }
  return scaled;
}
