import { defineOp } from "../op.js";
import { fromNumbers, roundHalfEven, toNumbers } from "../tensor.js";
import { tensorType } from "../types.js";
import { none } from "./_attrs.js";
import { need } from "./_eval.js";
import { product } from "./_infer.js";
import { quantize, saturate } from "./_quantize.js";

/** Source: ONNX DynamicQuantizeLinear: the range always holds 0; scale = (max - min) / 255. */
export const dynamicQuantizeLinear = defineOp({
  kind: "dynamic_quantize_linear",
  summary: "Quantizes to u8 by the tensor's own range; gives values, scale and zero point",
  attrs: none,
  inputs: [1, 1],
  outputs: [3, 3],
  infer: (ctx) => ({ types: [tensorType("u8", ctx.shape(0)), tensorType("f32", []), tensorType("u8", [])] }),
  cost: (_, { outputs }) => ({ macs: 0, flops: 4 * product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const v = toNumbers(x);
    let [low, high] = [0, 0];
    for (const e of v) {
      if (e < low) low = e;
      if (e > high) high = e;
    }
    const f = Math.fround;
    // Where all values are 0 the specification divides by 0: the scale is then 1, as in ONNX Runtime.
    const scale = low === high ? 1 : f(f(high - low) / 255);
    const zero = saturate(roundHalfEven(f(f(0 - low) / scale)), "u8");
    return [
      fromNumbers(
        "u8",
        x.dims,
        v.map((e) => quantize(e, scale, zero, "u8")),
      ),
      fromNumbers("f32", [], [scale]),
      fromNumbers("u8", [], [zero]),
    ];
  },
});
