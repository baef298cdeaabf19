import { defineOp } from "../op.js";
import { type Type, UNKNOWN } from "../types.js";
import { attrs, int } from "./_attrs.js";

/** Regions: then and else, without formal inputs. Operands: the condition, then the captured values of both regions. Carried. Source: ONNX If. */
export const ifOp = defineOp({
  kind: "if",
  summary: "One of two regions, by a condition",
  attrs: attrs({ captures: int.optional(), then_captures: int.optional() }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [1, Number.POSITIVE_INFINITY],
  infer: ({ op }) => ({
    types: op.outputs.map((_, i): Type => {
      const [a, b] = op.regions.map((r) => r.outputs[i]?.value.type);
      if (a?.kind !== "tensor" || b?.kind !== "tensor" || a.elem !== b.elem) return UNKNOWN;
      const shape =
        a.shape !== null && b.shape !== null && a.shape.length === b.shape.length ? a.shape.map((d, k) => (d === b.shape?.[k] ? d : "?")) : null;
      return { kind: "tensor", elem: a.elem, shape };
    }),
  }),
});
