/** The 8-bit kinds with two operands. */
import type { Op } from "../../graph.js";
import { defineOp, type OpDefinition } from "../../op.js";
import { attrs } from "../_attrs.js";
import { mapTensors, need } from "../_eval.js";
import { broadcast, checked, elementsOf, needElem, one, unknown } from "../_infer.js";
import { eightBit } from "./_nhwc.js";
import { checkParams, limits, params, result, resultType, type Steps, stepsOf, toQ } from "./_q.js";

/** @param real gives the function from stored a and b to the f32 result in steps of y's scale, its zero point included or (`addZero`) to be added after rounding */
export function quantizedBinary<K extends string>(
  kind: K,
  summary: string,
  addZero: boolean,
  real: (steps: { readonly a: Steps; readonly b: Steps; readonly y: Steps }) => (a: number, b: number) => number,
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
      const y = stepsOf(op, "y");
      const f = real({ a: stepsOf(op, "a"), b: stepsOf(op, "b"), y });
      const clamp = limits(op, type);
      return [mapTensors([a, b], type, (u, v) => toQ(f(u as number, v as number), addZero ? y.zero : 0, clamp))];
    },
  });
}
