/** The 8-bit kinds with two operands. */
import type { Op } from "../../graph.js";
import { defineOp, type OpDefinition } from "../../op.js";
import { attrs } from "../_attrs.js";
import { mapTensors, need } from "../_eval.js";
import { broadcast, checked, elementsOf, needElem, one, unknown } from "../_infer.js";
import { eightBit } from "./_nhwc.js";
import { checkParams, limits, params, result, resultType, scaleOf, toQ, zeroOf } from "./_q.js";

/** @param real gives the function from stored a and b to the f32 result in steps of y's scale */
export function quantizedBinary<K extends string>(
  kind: K,
  summary: string,
  real: (scales: { readonly a: number; readonly b: number; readonly y: number }) => (a: number, b: number) => number,
): OpDefinition & { readonly kind: K } {
  return defineOp({
    kind,
    summary,
    attrs: attrs({ ...params("a"), ...params("b"), ...result }),
    inputs: [2, 2],
    outputs: [1, 1],
    infer(ctx) {
      const a = ctx.type(0);
      for (const i of [0, 1]) needElem(ctx, i, eightBit);
      if (a === null) return unknown(ctx);
      const type = resultType(ctx, a.elem);
      if (!eightBit.includes(type)) ctx.fail(`y_type is ${type}`, "it is u8 or i8");
      checkParams(ctx, "a", a.elem);
      checkParams(ctx, "b", ctx.type(1)?.elem);
      checkParams(ctx, "y", type);
      return one(checked(ctx, type, broadcast(ctx, [ctx.shape(0), ctx.shape(1)])));
    },
    cost: (_, { outputs }) => ({ macs: 0, flops: 5 * elementsOf(outputs[0]) }),
    evaluate(op: Op, inputs) {
      const [a, b] = [need(inputs, 0), need(inputs, 1)];
      const type = resultType(op, a.type);
      const f = real({ a: scaleOf(op, "a"), b: scaleOf(op, "b"), y: scaleOf(op, "y") });
      const [az, bz, yz, clamp] = [zeroOf(op, "a"), zeroOf(op, "b"), zeroOf(op, "y"), limits(op, type)];
      return [mapTensors([a, b], type, (x, y) => toQ(f((x as number) - az, (y as number) - bz), yz, clamp))];
    },
  });
}
