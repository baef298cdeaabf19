import { defineOp } from "../op.js";
import { type Type, tensorType, UNKNOWN } from "../types.js";
import { attrs, int } from "./_attrs.js";

/** One region with formals (iteration, condition, state…); operands: trip count?, condition?, state…, captured values. Carried. Source: ONNX Loop. */
export const loop = defineOp({
  kind: "loop",
  summary: "A region repeated; scanned outputs are stacked",
  attrs: attrs({ captures: int.optional() }),
  inputs: [2, Number.POSITIVE_INFINITY],
  outputs: [0, Number.POSITIVE_INFINITY],
  infer({ op }) {
    const body = op.regions[0];
    const states = op.inputs.length - 2 - ((op.attrs["captures"] as number | undefined) ?? 0);
    return {
      types: op.outputs.map((_, i): Type => {
        const t = body?.outputs[i + 1]?.value.type;
        if (t?.kind !== "tensor") return UNKNOWN;
        return i < states
          ? tensorType(t.elem, t.shape?.map(() => "?") ?? null)
          : tensorType(t.elem, t.shape === null ? null : ["?", ...t.shape.map(() => "?")]);
      }),
    };
  },
});
