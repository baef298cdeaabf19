import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, one, product, unknown } from "./_infer.js";
import { matmulShape, matmulValues } from "./_matmul.js";
import { requantize } from "./_quantize.js";

/** Quantized matrix product. Source: ONNX QLinearMatMul; operands a, a_scale, a_zp, b, b_scale, b_zp, y_scale, y_zp. */
export const qlinearMatmul = defineOp({
  kind: "qlinear_matmul",
  summary: "Matrix product of quantized operands with a quantized result",
  attrs: none,
  inputs: [8, 8],
  outputs: [1, 1],
  infer(ctx) {
    const y = ctx.type(7);
    return y === null ? unknown(ctx) : one(checked(ctx, y.elem, matmulShape(ctx, ctx.shape(0), ctx.shape(3))));
  },
  cost: (_, { inputs, outputs }) => ({ macs: product(outputs[0] ?? []) * (inputs[0]?.at(-1) ?? 1), flops: 2 * product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const [a, b] = [need(inputs, 0), need(inputs, 3)];
    const n = (i: number): Float64Array => toNumbers(need(inputs, i));
    const [av, bv, as, az, bs, bz, ys, yz] = [toNumbers(a), toNumbers(b), n(1), n(2), n(4), n(5), n(6), n(7)];
    const pick = (z: Float64Array, i: number): number => z[z.length === 1 ? 0 : i % z.length] as number;
    const y = matmulValues(
      { dims: a.dims, at: (i, row) => (av[i] as number) - pick(az, row) },
      { dims: b.dims, at: (i, column) => (bv[i] as number) - pick(bz, column) },
    );
    const columns = b.dims.at(-1) ?? 1;
    const rows = a.dims.at(-2) ?? 1;
    const type = need(inputs, 7).type;
    const out = y.data.map((v, i) =>
      requantize(v, pick(as, Math.floor(i / columns) % rows), pick(bs, i % columns), ys[0] as number, yz[0] as number, type),
    );
    return [fromNumbers(type, y.dims, out)];
  },
});
