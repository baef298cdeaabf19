import type { Attrs } from "../graph.js";
import { num, nums, str } from "../graph.js";
import { defineOp, type Op } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs, fused, int, ints, window } from "./_attrs.js";
import { activate } from "./_elementwise.js";
import { need } from "./_eval.js";
import { checked, floatTypes, needElem, needRank, needSameElem, one, product, unknown } from "./_infer.js";

export interface TransposeGeometry {
  readonly out: readonly Dim[];
  readonly padBegin: readonly number[];
  readonly strides: readonly number[];
  readonly dilations: readonly number[];
}

/** Output sizes and begin pads. Source: ONNX ConvTranspose (output_shape wins over pads; SAME splits the total). */
export function transposeGeometry(attrs: Attrs, spatial: readonly Dim[], kernel: readonly number[]): TransposeGeometry {
  const n = spatial.length;
  const op = { attrs };
  const fill = (name: string, v: number, count = n): readonly number[] =>
    nums(op, name).length > 0 ? nums(op, name) : new Array<number>(count).fill(v);
  const [strides, dilations, extra, pads] = [fill("strides", 1), fill("dilations", 1), fill("output_padding", 0), fill("pads", 0, 2 * n)];
  const wanted = nums(op, "output_shape");
  const auto = str(op, "auto_pad", "NOTSET");
  const padBegin: number[] = [];
  const out = spatial.map((size, i): Dim => {
    const [s, d, e, k] = [strides[i] as number, dilations[i] as number, extra[i] as number, kernel[i] as number];
    const full = typeof size === "number" ? s * (size - 1) + e + (k - 1) * d + 1 : null;
    let target: number | null = null;
    if (wanted.length > 0) target = wanted[wanted.length - n + i] as number;
    else if (auto.startsWith("SAME")) target = typeof size === "number" ? size * s : null;
    if (wanted.length > 0 || auto.startsWith("SAME")) {
      const total = full === null || target === null ? 0 : Math.max(0, full - target);
      padBegin.push(auto === "SAME_UPPER" ? Math.floor(total / 2) : total - Math.floor(total / 2));
      return target ?? UNKNOWN_DIM;
    }
    const [begin, end] = auto === "VALID" ? [0, 0] : [pads[i] as number, pads[i + n] as number];
    padBegin.push(begin);
    return full === null ? UNKNOWN_DIM : full - begin - end;
  });
  return { out, padBegin, strides, dilations };
}

/** Scalar reference on [N, C, …] operands; attributes of `conv_transpose` or `cpu.conv_transpose`. */
export function transposeConvolve(op: Op, inputs: readonly (Tensor | null)[]): Tensor[] {
  const [x, w] = [need(inputs, 0), need(inputs, 1)];
  const bias = inputs[2] == null ? null : toNumbers(inputs[2]);
  const group = num(op, "group", 1);
  const [n = 1, c = 1, ...spatial] = x.dims;
  const [, og = 1, ...kernel] = w.dims;
  const g = transposeGeometry(op.attrs, spatial, kernel);
  const out = g.out as readonly number[];
  const [xv, wv] = [toNumbers(x), toNumbers(w)];
  const [area, outs, taps, channels, cg] = [product(spatial), product(out), product(kernel), og * group, c / group];
  const y = new Float64Array(n * channels * outs);
  for (let i = 0; i < area; i++) {
    for (let k = 0; k < taps; k++) {
      let at = 0;
      let [ri, rk, inside, scale] = [i, k, true, 1];
      for (let a = spatial.length - 1; a >= 0; a--) {
        const [size, ksize] = [spatial[a] as number, kernel[a] as number];
        const p = (ri % size) * (g.strides[a] as number) + (rk % ksize) * (g.dilations[a] as number) - (g.padBegin[a] as number);
        if (p < 0 || p >= (out[a] as number)) inside = false;
        at += p * scale;
        scale *= out[a] as number;
        ri = Math.floor(ri / size);
        rk = Math.floor(rk / ksize);
      }
      if (!inside) continue;
      for (let b = 0; b < n; b++) {
        for (let ch = 0; ch < c; ch++) {
          const v = xv[(b * c + ch) * area + i] as number;
          const base = Math.floor(ch / cg) * og;
          for (let o = 0; o < og; o++) y[(b * channels + base + o) * outs + at]! += v * (wv[(ch * og + o) * taps + k] as number);
        }
      }
    }
  }
  if (bias !== null) for (let i = 0; i < y.length; i++) y[i]! += bias[Math.floor(i / outs) % channels] as number;
  return [activate(op, fromNumbers(x.type, [n, channels, ...out], y))];
}

export const convTranspose = defineOp({
  kind: "conv_transpose",
  summary: "Transposed convolution: x [N, C, …], w [C, O/group, …], bias [O]?",
  attrs: attrs({ ...window, group: int.optional(), output_padding: ints.optional(), output_shape: ints.optional(), ...fused }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    const x = needRank(ctx, 0, 3);
    const w = needRank(ctx, 1, 3);
    const t = needSameElem(ctx, [0, 1, 2]);
    if (t === null) return unknown(ctx);
    if (x === null || w === null) return one(checked(ctx, t.elem, null));
    if (x.length !== w.length) ctx.fail(`the data has rank ${x.length}, the weights rank ${w.length}`);
    const group = num(ctx.op, "group", 1);
    const [n, c, ...spatial] = x as [Dim, Dim, ...Dim[]];
    const [wc, og, ...kernel] = w as [Dim, Dim, ...Dim[]];
    if (typeof c === "number" && typeof wc === "number" && c !== wc) ctx.fail(`the data has ${c} channels, the weights take ${wc}`);
    const channels = typeof og === "number" ? og * group : UNKNOWN_DIM;
    const given = nums(ctx.op, "kernel_shape");
    const known = kernel.map((k, i) => (typeof k === "number" ? k : given[i]));
    if (!known.every((k) => k !== undefined)) return one(checked(ctx, t.elem, [n, channels, ...spatial.map(() => UNKNOWN_DIM)]));
    return one(checked(ctx, t.elem, [n, channels, ...transposeGeometry(ctx.attrs, spatial, known).out]));
  },
  cost: (_, { inputs }) => ({ macs: product(inputs[0] ?? []) * product((inputs[1] ?? []).slice(1)), flops: 0 }),
  evaluate: transposeConvolve,
});
