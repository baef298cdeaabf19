import { defineOp } from "../op.js";
import { type Type, UNKNOWN } from "../types.js";
import { attrs, int, ints } from "./_attrs.js";

/** One region over slices of its operands. Carried. Source: ONNX Scan (opset 9 and later). */
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
  infer: ({ op }) => ({
    types: op.outputs.map((_, i): Type => {
      const t = op.regions[0]?.outputs[i]?.value.type;
      return t?.kind === "tensor" ? { kind: "tensor", elem: t.elem, shape: null } : UNKNOWN;
    }),
  }),
});
