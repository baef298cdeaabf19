import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs } from "../_attrs.js";
import { need } from "../_eval.js";
import { checked, elementsOf, needElem, one, unknown } from "../_infer.js";
import { eightBit } from "./_nhwc.js";
import { checkParams, limits, params, result, resultType, scaleOf, toQ, zeroOf } from "./_q.js";

const f = Math.fround;

/** clamp(rne(f32(x - x_zp) * (x_scale / y_scale)) + y_zp). */
export const cpuRequantize = defineOp({
  kind: "cpu.requantize",
  summary: "8-bit values under another scale and zero point",
  attrs: attrs({ ...params("x"), ...result }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, eightBit);
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const type = resultType(ctx, x.elem);
    if (!eightBit.includes(type)) ctx.fail(`y_type is ${type}`, "it is u8 or i8");
    checkParams(ctx, "x", x.elem);
    checkParams(ctx, "y", type);
    return one(checked(ctx, type, x.shape));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: 3 * elementsOf(outputs[0]) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const type = resultType(op, x.type);
    const m = f(scaleOf(op, "x") / scaleOf(op, "y"));
    const [xz, yz, clamp] = [zeroOf(op, "x"), zeroOf(op, "y"), limits(op, type)];
    return [
      fromNumbers(
        type,
        x.dims,
        toNumbers(x).map((v) => toQ(f((v - xz) * m), yz, clamp)),
      ),
    ];
  },
});
