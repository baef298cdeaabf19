/** What optimizer steps share. */
import type { InferContext, Inferred } from "../../op.js";
import { type Tensor, toNumbers } from "../../tensor.js";
import { tensorType } from "../../types.js";
import { floatTypes, needElem, needSameElem, unknown } from "../_infer.js";

/** Results like the parameter, one for each tensor that the step changes. */
export function updated(ctx: InferContext, operands: readonly number[]): Inferred {
  needElem(ctx, 0, floatTypes);
  const t = needSameElem(ctx, operands);
  if (t === null) return unknown(ctx);
  return { types: Array.from({ length: ctx.outputCount }, () => tensorType(t.elem, ctx.shape(0))) };
}

/** The first element; `otherwise` where the operand is absent. */
export const scalarOr = (t: Tensor | null | undefined, otherwise: number): number => (t == null ? otherwise : (toNumbers(t)[0] as number));
