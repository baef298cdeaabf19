import { z } from "zod";
import { str } from "../graph.js";
import { defineOp } from "../op.js";
import { fromNumbers, type Tensor, tensor, toNumbers } from "../tensor.js";
import { type ElementType, elementTypes, isElementType } from "../types.js";
import { attrs, bool01 } from "./_attrs.js";
import { isBig, need } from "./_eval.js";
import { checked, one, withContent } from "./_infer.js";

/** Conversion of values: floats to integers truncate toward zero, to bool compare with 0, text is parsed and printed. */
export function castTensor(x: Tensor, to: ElementType): Tensor {
  if (to === x.type) return x;
  if (to === "string") return { type: to, dims: x.dims, data: Array.from(x.data as ArrayLike<number>, String) };
  if (isBig(x.type) && isBig(to)) return tensor(to, x.dims, x.data as BigInt64Array);
  if (to === "bool") return { type: to, dims: x.dims, data: Uint8Array.from(toNumbers(x), (v) => (v !== 0 ? 1 : 0)) };
  const v = toNumbers(x);
  const integer = elementTypes[to].kind === "int" || elementTypes[to].kind === "uint";
  return fromNumbers(to, x.dims, integer ? v.map((e) => (Number.isFinite(e) ? Math.trunc(e) : 0)) : v);
}

/** `to` is an element type name. Source: ONNX Cast. */
export const cast = defineOp({
  kind: "cast",
  summary: "The values as another element type",
  attrs: attrs({ to: z.string().refine(isElementType), saturate: bool01.optional(), round_mode: z.string().optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer: (ctx) => withContent(one(checked(ctx, str(ctx.op, "to", "f32") as ElementType, ctx.shape(0))), ctx.content(0)),
  evaluate: (op, inputs) => [castTensor(need(inputs, 0), str(op, "to", "f32") as ElementType)],
});
