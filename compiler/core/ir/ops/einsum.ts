import { z } from "zod";
import { str } from "../graph.js";
import { defineOp } from "../op.js";
import { countOf, fromNumbers, toNumbers } from "../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../types.js";
import { attrs } from "./_attrs.js";
import { need, stridesOf } from "./_eval.js";
import { checked, elementsOf, needSameElem, one, unknown } from "./_infer.js";

interface Equation {
  /** One list of indices for each operand; the axes of an ellipsis are named "0", "1", … counted from the right. */
  readonly terms: readonly (readonly string[])[];
  readonly output: readonly string[];
}

/**
 * Reads an equation for operands of the given ranks. Without "->" the output is the ellipsis, then the indices that occur once, in alphabetical order.
 * Throws RangeError on a malformed equation.
 */
function parse(text: string, ranks: readonly number[]): Equation {
  const [left = "", right, ...more] = text.replace(/\s+/g, "").split("->");
  const terms = left.split(",");
  if (more.length > 0 || terms.length !== ranks.length)
    throw new RangeError(`the equation "${text}" has ${terms.length} terms for ${ranks.length} operands`);
  let widest = 0;
  const read = (term: string, rank: number | null): string[] => {
    const [before = "", after, ...rest] = term.split("...");
    if (rest.length > 0 || !/^[A-Za-z]*$/.test(before + (after ?? ""))) throw new RangeError(`"${term}" is no list of indices`);
    const named = before.length + (after?.length ?? 0);
    const extra = rank === null ? widest : rank - named;
    if (extra < 0 || (after === undefined && rank !== null && extra !== 0))
      throw new RangeError(`term "${term}" has ${named} indices for rank ${rank}`);
    if (after === undefined) return [...before];
    widest = Math.max(widest, extra);
    return [...before, ...Array.from({ length: extra }, (_, i) => String(extra - 1 - i)), ...after];
  };
  const inputs = terms.map((term, i) => read(term, ranks[i] as number));
  const all = inputs.flat();
  const once = [...new Set(all)].filter((c) => /[A-Za-z]/.test(c) && all.filter((d) => d === c).length === 1).sort();
  const output = right === undefined ? [...Array.from({ length: widest }, (_, i) => String(widest - 1 - i)), ...once] : read(right, null);
  for (const c of output) if (!all.includes(c)) throw new RangeError(`output index ${c} is in no term`);
  if (new Set(output).size !== output.length) throw new RangeError(`the output "${right}" names an index twice`);
  return { terms: inputs, output };
}

/** Source: ONNX Einsum; sums of products over all indices that the output does not name, sizes of 1 broadcast. */
export const einsum = defineOp({
  kind: "einsum",
  summary: "Sum of products by an index equation",
  attrs: attrs({ equation: z.string() }),
  inputs: [1, Number.POSITIVE_INFINITY],
  outputs: [1, 1],
  infer(ctx) {
    const operands = ctx.op.inputs.map((_, i) => i);
    const t = needSameElem(ctx, operands);
    if (t === null) return unknown(ctx);
    const shapes = operands.map((i) => ctx.shape(i));
    if (shapes.some((s) => s === null)) return one(checked(ctx, t.elem, null));
    let equation: Equation;
    try {
      equation = parse(
        str(ctx.op, "equation", ""),
        shapes.map((s) => s?.length ?? 0),
      );
    } catch (e) {
      return ctx.fail((e as RangeError).message);
    }
    const sizes = new Map<string, Dim>();
    equation.terms.forEach((term, i) => {
      term.forEach((c, a) => {
        const d = shapes[i]?.[a] ?? UNKNOWN_DIM;
        const e = sizes.get(c);
        if (typeof e === "number" && typeof d === "number" && e !== d && e !== 1 && d !== 1) ctx.fail(`index ${c} is ${e} and ${d}`);
        if (e === undefined || e === 1 || (typeof d === "number" && d !== 1)) sizes.set(c, d);
        else if (typeof e !== "number" && d !== 1 && e !== d) sizes.set(c, UNKNOWN_DIM);
      });
    });
    return one(
      checked(
        ctx,
        t.elem,
        equation.output.map((c) => sizes.get(c) ?? UNKNOWN_DIM),
      ),
    );
  },
  cost(op, { inputs }) {
    const shapes = inputs.map((s) => s ?? []);
    const { terms } = parse(
      str(op, "equation", ""),
      shapes.map((s) => s.length),
    );
    const sizes = new Map<string, number>();
    terms.forEach((term, i) => {
      term.forEach((c, a) => {
        sizes.set(c, Math.max(sizes.get(c) ?? 1, shapes[i]?.[a] ?? 1));
      });
    });
    return { macs: elementsOf([...sizes.values()]) * Math.max(1, inputs.length - 1), flops: 0 };
  },
  evaluate(op, inputs) {
    const all = inputs.map((_, i) => need(inputs, i));
    const { terms, output } = parse(
      str(op, "equation", ""),
      all.map((t) => t.dims.length),
    );
    const sizes = new Map<string, number>();
    terms.forEach((term, i) => {
      term.forEach((c, a) => {
        const d = all[i]?.dims[a] as number;
        const e = sizes.get(c) ?? 1;
        if (e !== 1 && d !== 1 && e !== d) throw new RangeError(`index ${c} is ${e} and ${d}`);
        sizes.set(c, e === 1 ? d : e);
      });
    });
    const summed = [...sizes.keys()].filter((c) => !output.includes(c));
    const order = [...output, ...summed];
    const dims = order.map((c) => sizes.get(c) as number);
    // Strides of each operand along every index; an index twice in one term walks its diagonal.
    const strides = terms.map((term, i) => {
      const own = stridesOf(all[i]?.dims as readonly number[]);
      return order.map((c) => term.reduce((s, d, a) => s + (d === c && all[i]?.dims[a] !== 1 ? (own[a] as number) : 0), 0));
    });
    const values = all.map(toNumbers);
    const inner = countOf(summed.map((c) => sizes.get(c) as number));
    const out = new Float64Array(countOf(output.map((c) => sizes.get(c) as number)));
    const index = dims.map(() => 0);
    const at = values.map(() => 0);
    for (let i = 0; i < countOf(dims); i++) {
      let p = 1;
      for (let k = 0; k < at.length; k++) p *= values[k]?.[at[k] as number] as number;
      out[Math.floor(i / inner)]! += p;
      for (let a = dims.length - 1; a >= 0; a--) {
        index[a]!++;
        const turn = index[a] === dims[a];
        const steps = turn ? 1 - (dims[a] as number) : 1;
        for (let k = 0; k < at.length; k++) at[k]! += steps * (strides[k]?.[a] as number);
        if (!turn) break;
        index[a] = 0;
      }
    }
    return [
      fromNumbers(
        all[0]!.type,
        output.map((c) => sizes.get(c) as number),
        out,
      ),
    ];
  },
});
