/**
 * Which channels of which values must be scaled together so that the graph computes the same: classes of (value, channel) under the ops that scaling passes
 * through. Convolutions and matrix products with constant weights take a scale of their operand back in, and give their result any scale: they part classes.
 */
import { channelAxis, constantTensor, type Graph, num, nums, type Op, type Shape, str, type Value } from "../../compiler/core/index.js";

/** Channels that scaling ties together: numbered classes. */
export interface ChannelClasses {
  /** Class of a channel, or -1 for values without a known number of channels. */
  of(v: Value, channel: number): number;
  /** Number of channels, 0 where it is not known. */
  channels(v: Value): number;
  /** True where something else than what scaling passes through reads or gives a member. */
  pinned(cls: number): boolean;
  readonly size: number;
}

/** A product with constant weights, seen as out[o] = sum over in of weights. */
export interface Product {
  readonly op: Op;
  readonly x: Value;
  readonly y: Value;
  readonly outs: number;
  /** Input channels that one output channel reads. */
  readonly ins: number;
  readonly taps: number;
  /** Output channels of one group. */
  readonly perGroup: number;
  /** Flat index of the weight of output o, input i of its group, tap k. */
  at(o: number, i: number, k: number): number;
}

const shapeOf = (v: Value | null | undefined): Shape | null => (v?.type.kind === "tensor" && v.type.elem === "f32" ? v.type.shape : null);

const dimsOf = (v: Value | null | undefined): readonly number[] | null => {
  const t = constantTensor(v);
  return t === null || t.type !== "f32" ? null : t.dims;
};

/** The op as a product whose operand and result may be scaled; `null` for anything else. */
export function productOf(op: Op): Product | null {
  const [x, w, b, residual] = op.inputs;
  const y = op.outputs[0];
  const dims = dimsOf(w);
  if (x == null || y === undefined || dims === null || residual != null || (b != null && dimsOf(b)?.length !== 1)) return null;
  if (op.kind === "conv") {
    const [outs = 0, ins = 0, ...kernel] = dims;
    const taps = kernel.reduce((a, c) => a * c, 1);
    return { op, x, y, outs, ins, taps, perGroup: outs / num(op, "group", 1), at: (o, i, k) => (o * ins + i) * taps + k };
  }
  if ((op.kind !== "gemm" && op.kind !== "matmul") || dims.length !== 2) return null;
  if (op.kind === "gemm" && (num(op, "alpha", 1) !== 1 || num(op, "beta", 1) !== 1 || num(op, "transA", 0) !== 0)) return null;
  const transposed = op.kind === "gemm" && num(op, "transB", 0) === 1;
  const [outs, ins] = (transposed ? dims : [dims[1], dims[0]]) as [number, number];
  return { op, x, y, outs, ins, taps: 1, perGroup: outs, at: transposed ? (o, i) => o * ins + i : (o, i) => i * outs + o };
}

/** Relu, or a clip from 0 (whose upper end the caller minds): scaling by a positive number passes through. */
const scalable = (op: Op): boolean => {
  const a = op.attrs["activation"];
  return a === undefined || a === "relu" || (a === "clip" && num(op, "clip_min", Number.NEGATIVE_INFINITY) === 0);
};

const unary: ReadonlySet<string> = new Set([
  "relu",
  "max_pool",
  "average_pool",
  "global_average_pool",
  "global_max_pool",
  "leaky_relu",
  "identity",
  "dropout",
]);

/** Finds what must be scaled together: channels pass through activations, pools, adds, concatenations and depthwise products. */
export function channelClasses(graph: Graph): ChannelClasses {
  const base = new Map<Value, readonly [start: number, channels: number]>();
  let nodes = 0;
  const add = (v: Value): void => {
    const shape = shapeOf(v);
    const channels = shape === null || shape.length < 2 ? null : shape[channelAxis(shape.length)];
    if (typeof channels !== "number" || v.producer?.kind === "constant") return;
    base.set(v, [nodes, channels]);
    nodes += channels;
  };
  for (const v of graph.inputs) add(v);
  for (const op of graph.ops) for (const v of op.outputs) add(v);
  const parent = Int32Array.from({ length: nodes }, (_, i) => i);
  const fixed = new Uint8Array(nodes);
  const root = (n: number): number => {
    let r = n;
    while (parent[r] !== r) {
      parent[r] = parent[parent[r] as number] as number;
      r = parent[r] as number;
    }
    return r;
  };
  const node = (v: Value, c: number): number => (base.get(v)?.[0] ?? 0) + c;
  const count = (v: Value): number => base.get(v)?.[1] ?? 0;
  const pin = (v: Value | null | undefined): void => {
    if (v != null) for (let c = 0; c < count(v); c++) fixed[root(node(v, c))] = 1;
  };
  const pinAll = (op: Op): void => {
    for (const v of [...op.inputs, ...op.outputs]) pin(v);
  };
  const join = (a: number, b: number): void => {
    const [x, y] = [root(a), root(b)];
    if (x === y) return;
    parent[x] = y;
    fixed[y] = Math.max(fixed[x] as number, fixed[y] as number);
  };
  /** Channel c of `a` is channel c + offset of `b`; false where they do not fit. */
  const link = (a: Value, b: Value, offset = 0): boolean => {
    if (count(a) === 0 || count(a) + offset > count(b)) return false;
    for (let c = 0; c < count(a); c++) join(node(a, c), node(b, c + offset));
    return true;
  };

  for (const v of graph.inputs) pin(v);
  for (const op of graph.ops) {
    if (op.kind === "constant") continue;
    const product = productOf(op);
    if (product !== null && count(product.x) >= product.ins && count(product.y) === product.outs) {
      if (!scalable(op)) pin(product.y);
      continue;
    }
    if (!passes(op)) pinAll(op);
  }
  for (const o of graph.outputs) pin(o.value);

  function passes(op: Op): boolean {
    const x = op.inputs[0];
    const y = op.outputs[0];
    if (x == null || y === undefined || op.outputs.length > 1) return false;
    const [rank, into] = [shapeOf(x)?.length ?? 0, shapeOf(y)?.length ?? 0];
    const axis = channelAxis(rank);
    const same = rank === into && count(x) === count(y);
    if (unary.has(op.kind)) return same && link(x, y);
    switch (op.kind) {
      case "add":
        return (
          op.attrs["activation"] !== "clip" && op.inputs.every((v) => v != null && shapeOf(v)?.length === into && count(v) === count(y) && link(v, y))
        );
      case "concat": {
        if (num(op, "axis", 0) !== axis && num(op, "axis", 0) !== axis - rank)
          return op.inputs.every((v) => v != null && count(v) === count(y) && link(v, y));
        let offset = 0;
        for (const v of op.inputs) {
          if (v == null || count(v) === 0 || !link(v, y, offset)) return false;
          offset += count(v);
        }
        return true;
      }
      case "slice": {
        const axes = constantTensor(op.inputs[3] ?? null);
        const named = axes === null ? null : Array.from(axes.data as ArrayLike<number | bigint>, Number);
        return same && named !== null && !named.some((a) => (a + rank) % rank === axis) && link(x, y);
      }
      case "pad": {
        const pads = constantTensor(op.inputs[1] ?? null);
        const value = constantTensor(op.inputs[2] ?? null);
        if (str(op, "mode", "constant") !== "constant" || pads === null || op.inputs[3] != null) return false;
        if (op.inputs[2] != null && (value === null || Number((value.data as ArrayLike<number>)[0]) !== 0)) return false;
        const before = Number((pads.data as ArrayLike<number | bigint>)[axis]);
        return before >= 0 && link(x, y, before);
      }
      case "flatten":
      case "reshape":
        // Features of a global pool: [N, C, 1, 1] to [N, C].
        return rank === 4 && into === 2 && count(x) === count(y) && (shapeOf(x) as Shape).slice(2).every((d) => d === 1) && link(x, y);
      default:
        return false;
    }
  }
  const ids = new Map<number, number>();
  const cls = Int32Array.from({ length: nodes }, (_, n) => {
    const r = root(n);
    if (!ids.has(r)) ids.set(r, ids.size);
    return ids.get(r) as number;
  });
  const held = new Uint8Array(ids.size);
  for (const [r, id] of ids) held[id] = fixed[r] as number;
  return { of: (v, c) => (count(v) === 0 ? -1 : (cls[node(v, c)] as number)), channels: count, pinned: (id) => held[id] === 1, size: ids.size };
}

/** Elements that a pool averages; 1 for other ops. */
export function pooled(op: Op): number {
  if (op.kind === "average_pool") return nums(op, "kernel_shape").reduce((a, b) => a * b, 1);
  if (op.kind !== "global_average_pool") return 1;
  return (shapeOf(op.inputs[0]) ?? []).slice(2).reduce<number>((n, d) => n * (typeof d === "number" ? d : 7), 1);
}
