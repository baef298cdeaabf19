/** Layouts: graphs are channels first, the engine's image kernels channels last. */
import { constantTensor, type Edit, type Op, opDefinition, type Tensor, type Value } from "../../compiler/core/index.js";

export const TO_NHWC: readonly number[] = [0, 2, 3, 1];
export const TO_NCHW: readonly number[] = [0, 3, 1, 2];

export const isPerm = (op: Op | null | undefined, perm: readonly number[]): boolean =>
  op?.kind === "transpose" && (op.attrs["perm"] as readonly number[] | undefined)?.join() === perm.join();

/** The value channels last: the operand of a transpose that made it channels first, a constant in that order, or a new transpose. */
export function channelsLast(edit: Edit, v: Value): Value {
  if (isPerm(v.producer, TO_NCHW)) return v.producer?.inputs[0] as Value;
  const t = constantTensor(v);
  if (t !== null && t.dims.length === 4) return edit.constant(`${v.name}.nhwc`, transposed(t, TO_NHWC));
  return edit.insert("transpose", [v], { attrs: { perm: [...TO_NHWC] }, outputNames: [`${v.name}.nhwc`] }).outputs[0] as Value;
}

export const channelsFirst = (edit: Edit, v: Value): Value =>
  edit.insert("transpose", [v], { attrs: { perm: [...TO_NCHW] }, outputNames: [`${v.name}.nchw`] }).outputs[0] as Value;

/** A tensor with its axes in another order, by the reference evaluation of `transpose`. */
export function transposed(t: Tensor, perm: readonly number[]): Tensor {
  const evaluate = opDefinition("transpose")?.evaluate;
  const op = { kind: "transpose", attrs: { perm: [...perm] }, outputs: [{}], inputs: [] } as unknown as Op;
  return evaluate?.(op, [t])[0] as Tensor;
}
