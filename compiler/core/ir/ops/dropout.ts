import { defineOp } from "../op.js";
import { toNumbers, zeros } from "../tensor.js";
import { tensorType } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { need } from "./_eval.js";
import { unknown } from "./_infer.js";

/** Inference, or rate 0: the operand itself, and a mask of ones. Operands x, ratio?, training_mode?. Source: ONNX Dropout. */
export const dropout = defineOp({
  kind: "dropout",
  summary: "Drops values in training; the identity in inference",
  attrs: attrs({ seed: int.optional() }),
  inputs: [1, 3],
  outputs: [1, 2],
  impure: true,
  infer(ctx) {
    const x = ctx.type(0);
    return x === null ? unknown(ctx) : { types: [tensorType(x.elem, x.shape), tensorType("bool", x.shape)].slice(0, ctx.outputCount) };
  },
  evaluate(op, inputs) {
    const [x, ratio, training] = [need(inputs, 0), inputs[1] ?? null, inputs[2] ?? null];
    const rate = ratio === null ? 0.5 : (toNumbers(ratio)[0] as number);
    if (training !== null && Number(training.data[0]) !== 0 && rate !== 0)
      throw new RangeError("dropout in training mode is random and is not evaluated");
    const mask = zeros("bool", x.dims);
    (mask.data as Uint8Array).fill(1);
    return [x, mask].slice(0, op.outputs.length);
  },
});
