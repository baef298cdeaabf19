import { defineOp } from "../op.js";
import type { Type } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { capturesOf, eitherType } from "./_region.js";

/**
 * Regions: then and else, without formal inputs. Operands: the condition, then the captured values of both regions (`captures` in all, those of the
 * first `then_captures`). Carried. Source: ONNX If.
 */
export const ifOp = defineOp({
  kind: "if",
  summary: "One of two regions, by a condition",
  attrs: attrs({ captures: int.optional(), then_captures: int.optional() }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [0, Number.POSITIVE_INFINITY],
  infer(ctx) {
    const [then, otherwise] = ctx.op.regions;
    if (then === undefined || otherwise === undefined)
      return ctx.fail(`there are ${ctx.op.regions.length} regions`, "a then and an else branch are needed");
    if (ctx.op.inputs.length !== 1 + capturesOf(ctx))
      ctx.fail(`there are ${ctx.op.inputs.length} operands for a condition and ${capturesOf(ctx)} captured values`);
    const condition = ctx.type(0);
    if (condition !== null && condition.elem !== "bool") ctx.fail(`the condition is of type ${condition.elem}`, "it must be bool");
    for (const body of [then, otherwise]) {
      if (body.outputs.length !== ctx.outputCount) ctx.fail(`a branch gives ${body.outputs.length} values, the op has ${ctx.outputCount} results`);
    }
    return { types: then.outputs.map((o, i): Type => eitherType(o.value.type, otherwise.outputs[i]!.value.type)) };
  },
});
