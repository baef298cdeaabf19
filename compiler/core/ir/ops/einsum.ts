import { z } from "zod";
import { str } from "../graph.js";
import { defineOp } from "../op.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs } from "./_attrs.js";
import { checked, needSameElem, one, unknown } from "./_infer.js";

/** Carried: shapes are known where the equation has no ellipsis. Source: ONNX Einsum. */
export const einsum = defineOp({
  kind: "einsum",
  summary: "Sum of products by an index equation",
  attrs: attrs({ equation: z.string() }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [1, 1],
  infer(ctx) {
    const t = needSameElem(
      ctx,
      ctx.op.inputs.map((_, i) => i),
    );
    if (t === null) return unknown(ctx);
    const equation = str(ctx.op, "equation", "").replace(/\s+/g, "");
    const [left = "", right] = equation.split("->");
    const terms = left.split(",");
    if (terms.length !== ctx.inputCount) ctx.fail(`the equation "${equation}" has ${terms.length} terms for ${ctx.inputCount} operands`);
    if (equation.includes(".")) return one(checked(ctx, t.elem, null));
    const sizes = new Map<string, Dim>();
    terms.forEach((term, i) => {
      const s = ctx.shape(i);
      if (s !== null && s.length !== term.length) ctx.fail(`term "${term}" has ${term.length} indices, operand ${i} rank ${s.length}`);
      [...term].forEach((c, a) => {
        const d = s?.[a] ?? UNKNOWN_DIM;
        const e = sizes.get(c);
        if (typeof e === "number" && typeof d === "number" && e !== d && e !== 1 && d !== 1) ctx.fail(`index ${c} is ${e} and ${d}`);
        if (e === undefined || e === 1 || e === UNKNOWN_DIM) sizes.set(c, d);
      });
    });
    const count = (c: string): number => left.split(c).length - 1;
    const output =
      right ??
      [...sizes.keys()]
        .filter((c) => count(c) === 1)
        .sort()
        .join("");
    return one(
      checked(
        ctx,
        t.elem,
        [...output].map((c) => sizes.get(c) ?? UNKNOWN_DIM),
      ),
    );
  },
});
