import { num, nums } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, type Type, UNKNOWN, UNKNOWN_DIM } from "../types.js";
import { attrs, int, ints } from "./_attrs.js";
import { axisOf, betterDim } from "./_infer.js";
import { capturesOf, eitherType, stacked } from "./_region.js";

/**
 * Operands: states, `num_scan_inputs` scanned values, then `captures` captured values. The region gives states and one slice of each scanned result.
 * Carried. Source: ONNX Scan (opset 9 and later).
 */
export const scan = defineOp({
  kind: "scan",
  summary: "A region applied to the slices of its operands in turn",
  attrs: attrs({
    captures: int.optional(),
    num_scan_inputs: int,
    scan_input_axes: ints.optional(),
    scan_input_directions: ints.optional(),
    scan_output_axes: ints.optional(),
    scan_output_directions: ints.optional(),
  }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [1, Number.POSITIVE_INFINITY],
  infer(ctx) {
    const [body] = ctx.op.regions;
    if (body === undefined) return ctx.fail("the region is missing");
    const scanned = num(ctx.op, "num_scan_inputs", 0);
    const states = ctx.op.inputs.length - scanned - capturesOf(ctx);
    if (scanned < 1 || states < 0)
      ctx.fail(`num_scan_inputs is ${scanned} with ${ctx.op.inputs.length} operands`, "at least one operand is scanned, the others are states");
    if (body.outputs.length !== ctx.outputCount) ctx.fail(`the region gives ${body.outputs.length} values for ${ctx.outputCount} results`);
    const axes = nums(ctx.op, "scan_input_axes");
    let length: Dim = UNKNOWN_DIM;
    for (let i = 0; i < scanned; i++) {
      const shape = ctx.shape(states + i);
      if (shape !== null) length = betterDim(length, shape[axisOf(ctx, axes[i] ?? 0, shape.length)] as Dim);
    }
    const outAxes = nums(ctx.op, "scan_output_axes");
    const types = body.outputs.map((o, i): Type => {
      if (i >= states) return stacked(o.value.type, length, outAxes[i - states] ?? 0);
      return eitherType(ctx.op.inputs[i]?.type ?? UNKNOWN, o.value.type);
    });
    return { types };
  },
});
