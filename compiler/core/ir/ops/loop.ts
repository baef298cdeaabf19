import { defineOp } from "../op.js";
import { type Type, UNKNOWN, UNKNOWN_DIM } from "../types.js";
import { attrs, int } from "./_attrs.js";
import { capturesOf, eitherType, stacked } from "./_region.js";

/**
 * Operands: trip count?, condition?, carried values, then `captures` captured values. The region takes iteration, condition, carried and captured values
 * and gives condition, carried values and scan outputs. Carried. Source: ONNX Loop.
 */
export const loop = defineOp({
  kind: "loop",
  summary: "A region repeated; scanned outputs are stacked",
  attrs: attrs({ captures: int.optional() }),
  inputs: [2, Number.POSITIVE_INFINITY],
  outputs: [0, Number.POSITIVE_INFINITY],
  infer(ctx) {
    const [body] = ctx.op.regions;
    if (body === undefined) return ctx.fail("the region is missing");
    const carried = ctx.op.inputs.length - 2 - capturesOf(ctx);
    if (carried < 0) ctx.fail(`there are ${ctx.op.inputs.length} operands for ${capturesOf(ctx)} captured values`);
    if (body.inputs.length !== 2 + carried + capturesOf(ctx))
      ctx.fail(`the region takes ${body.inputs.length} values, it would be given ${2 + carried + capturesOf(ctx)}`);
    if (body.outputs.length !== 1 + ctx.outputCount)
      ctx.fail(`the region gives ${body.outputs.length} values for a condition and ${ctx.outputCount} results`);
    const types = body.outputs.slice(1).map((o, i): Type => {
      if (i >= carried) return stacked(o.value.type, UNKNOWN_DIM);
      // No iteration at all gives the initial value.
      return eitherType(ctx.op.inputs[2 + i]?.type ?? UNKNOWN, o.value.type);
    });
    return { types };
  },
});
