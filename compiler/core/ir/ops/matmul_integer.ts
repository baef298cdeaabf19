import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, toNumbers } from "../tensor.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { checked, needElem, one, product } from "./_infer.js";
import { matmulShape, matmulValues } from "./_matmul.js";

/** Integer matrix product to i32. Source: ONNX MatMulInteger. */
export const matmulInteger = defineOp({
  kind: "matmul_integer",
  summary: "Matrix product of 8-bit integers with zero points, sums in i32",
  attrs: none,
  inputs: [2, 4],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1]) needElem(ctx, i, ["u8", "i8"]);
    return one(checked(ctx, "i32", matmulShape(ctx, ctx.shape(0), ctx.shape(1))));
  },
  cost: (_, { inputs, outputs }) => ({ macs: product(outputs[0] ?? []) * (inputs[0]?.at(-1) ?? 1), flops: 0 }),
  evaluate(_, inputs) {
    const [a, b] = [need(inputs, 0), need(inputs, 1)];
    const [av, bv] = [toNumbers(a), toNumbers(b)];
    const zero = (t: Tensor | null | undefined): Float64Array => (t == null ? new Float64Array(1) : toNumbers(t));
    const [az, bz] = [zero(inputs[2]), zero(inputs[3])];
    const pick = (z: Float64Array, i: number): number => z[z.length === 1 ? 0 : i % z.length] as number;
    const y = matmulValues(
      { dims: a.dims, at: (i, row) => (av[i] as number) - pick(az, row) },
      { dims: b.dims, at: (i, column) => (bv[i] as number) - pick(bz, column) },
    );
    return [fromNumbers("i32", y.dims, y.data)];
  },
});
