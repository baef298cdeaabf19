import { num } from "../graph.js";
import { defineOp } from "../op.js";
import { countOf } from "../tensor.js";
import { type Dim, elementCount, UNKNOWN_DIM } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { integers, need } from "./_eval.js";
import { checked, one, unknown, withContent } from "./_infer.js";

/** The target with 0 (copy) and -1 (rest) resolved against the operand's dimensions; symbols cancel against symbols. */
function resolve(shape: readonly Dim[], target: readonly Dim[], allowZero: boolean): { readonly dims: Dim[]; readonly rest: number } {
  const dims = target.map((d, i): Dim => (d === 0 && !allowZero ? (shape[i] ?? UNKNOWN_DIM) : d));
  const rest = dims.indexOf(-1);
  if (rest < 0) return { dims, rest };
  const left = [...shape];
  let known = 1;
  let open = false;
  dims.forEach((d, i) => {
    if (i === rest) return;
    if (typeof d === "number") known *= d;
    else {
      const at = d === UNKNOWN_DIM ? -1 : left.indexOf(d);
      if (at < 0) open = true;
      else left.splice(at, 1);
    }
  });
  const numbers = left.filter((d): d is number => typeof d === "number").reduce((a, b) => a * b, 1);
  const symbols = left.filter((d) => typeof d !== "number");
  if (open || known === 0) dims[rest] = known === 0 && !open ? 0 : UNKNOWN_DIM;
  else if (symbols.length === 0) dims[rest] = numbers / known;
  else dims[rest] = symbols.length === 1 && numbers === known ? (symbols[0] as Dim) : UNKNOWN_DIM;
  return { dims, rest };
}

/** Operands x, shape. Source: ONNX Reshape. */
export const reshape = defineOp({
  kind: "reshape",
  summary: "The same elements under another shape",
  attrs: attrs({ allowzero: bool01.optional() }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    const x = ctx.type(0);
    if (x === null) return unknown(ctx);
    const target = ctx.content(1);
    if (target === null) {
      const rank = ctx.shape(1)?.[0];
      return one(checked(ctx, x.elem, typeof rank === "number" && rank <= 64 ? new Array<Dim>(rank).fill(UNKNOWN_DIM) : null));
    }
    if (target.filter((d) => d === -1).length > 1) ctx.fail(`the shape [${target.join(", ")}] has more than one -1`);
    if (target.some((d) => typeof d === "number" && d < -1)) ctx.fail(`the shape is [${target.join(", ")}]`, "entries are -1, 0 or a size");
    const { dims } = resolve(x.shape ?? [], target, num(ctx.op, "allowzero", 0) === 1);
    if (x.shape === null && target.some((d) => d === -1 || d === 0))
      return one(
        checked(
          ctx,
          x.elem,
          target.map((d) => (d === -1 || d === 0 ? UNKNOWN_DIM : d)),
        ),
      );
    const [have, want] = [elementCount(x.shape), elementCount(dims)];
    if (have !== null && want !== null && (have !== want || !Number.isInteger(want)))
      ctx.fail(`${have} elements cannot take the shape [${target.join(", ")}]`);
    return withContent(one(checked(ctx, x.elem, dims)), ctx.content(0));
  },
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const { dims } = resolve(x.dims, integers(need(inputs, 1)) as number[], num(op, "allowzero", 0) === 1);
    if (countOf(dims as number[]) !== countOf(x.dims)) throw new RangeError(`[${x.dims.join(", ")}] cannot become [${dims.join(", ")}]`);
    return [{ ...x, dims: dims as number[] }];
  },
});
