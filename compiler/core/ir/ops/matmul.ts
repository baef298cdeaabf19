import { defineOp } from "../op.js";
import { fromNumbers, toNumbers } from "../tensor.js";
import { activate, fusedAttrs } from "./_elementwise.js";
import { need } from "./_eval.js";
import { checked, needElem, needSameElem, numericTypes, one, product, unknown } from "./_infer.js";
import { matmulShape, matmulValues } from "./_matmul.js";

/** Matrix product, batched and broadcast as numpy.matmul. Source: ONNX MatMul. */
export const matmul = defineOp({
  kind: "matmul",
  summary: "Matrix product with NumPy batching",
  attrs: fusedAttrs,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, numericTypes);
    const t = needSameElem(ctx, [0, 1]);
    return t === null ? unknown(ctx) : one(checked(ctx, t.elem, matmulShape(ctx, ctx.shape(0), ctx.shape(1))));
  },
  cost: (_, { inputs, outputs }) => ({ macs: product(outputs[0] ?? []) * (inputs[0]?.at(-1) ?? 1), flops: 0 }),
  evaluate(op, inputs) {
    const [a, b] = [need(inputs, 0), need(inputs, 1)];
    const [av, bv] = [toNumbers(a), toNumbers(b)];
    const y = matmulValues({ dims: a.dims, at: (i) => av[i] as number }, { dims: b.dims, at: (i) => bv[i] as number });
    return [activate(op, fromNumbers(a.type, y.dims, y.data))];
  },
});
