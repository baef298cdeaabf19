import { z } from "zod";
import { defineOp } from "../op.js";
import { type Type, UNKNOWN } from "../types.js";
import { attrs, blob, int } from "./_attrs.js";

/**
 * An operator that the IR does not know: custom domains, calls of local functions, operators outside the list. Attributes are kept as the bytes of the
 * ONNX NodeProto (`node`), so that export writes them back unchanged.
 */
export const carry = defineOp({
  kind: "carry",
  summary: "An unknown operator, carried through unchanged",
  attrs: attrs({
    domain: z.string(),
    op_type: z.string(),
    overload: z.string().optional(),
    node: blob,
    captures: int.optional(),
    capture_names: z.array(z.string()).optional(),
  }),
  inputs: [0, Number.POSITIVE_INFINITY],
  outputs: [0, Number.POSITIVE_INFINITY],
  impure: true,
  infer: ({ op }) => ({ types: op.outputs.map((): Type => UNKNOWN) }),
});
