import { constantTensor, type Graph, type Rewriter, type Value } from "../../compiler/core/index.js";
import { productOf } from "./channels.js";

/**
 * Multiplies channels of values by factors: weights and bias of the products that give them take the factor, weights of those that read them its inverse.
 * @param of factor of a channel of a value; 1 where it stays
 * @returns number of products whose weights changed
 */
export function scaleProducts(graph: Graph, rewrite: Rewriter, of: (v: Value, channel: number) => number, reason: string): number {
  let changed = 0;
  // A snapshot: new constants are inserted while ops are walked.
  for (const op of [...graph.ops]) {
    const product = productOf(op);
    if (product === null) continue;
    const { x, y, outs, ins, taps, perGroup, at } = product;
    const given = Array.from({ length: outs }, (_, o) => of(y, o));
    const taken = Array.from({ length: (outs / perGroup) * ins }, (_, i) => of(x, i));
    const w = constantTensor(op.inputs[1]);
    if (w === null || [...given, ...taken].every((s) => s === 1)) continue;
    const old = w.data as Float32Array;
    const next = new Float32Array(old.length);
    for (let o = 0; o < outs; o++)
      for (let i = 0; i < ins; i++) {
        const f = (given[o] as number) / (taken[Math.floor(o / perGroup) * ins + i] as number);
        for (let k = 0; k < taps; k++) next[at(o, i, k)] = (old[at(o, i, k)] as number) * f;
      }
    const bias = constantTensor(op.inputs[2] ?? null);
    rewrite.patch(op, reason, (edit) => {
      const replace = (index: number, dims: readonly number[], data: Float32Array): void => {
        const before = op.inputs[index] as Value;
        edit.setInput(op, index, edit.constant(before.name, { type: "f32", dims, data }));
        if (before.producer !== null) edit.eraseDead(before.producer);
      };
      replace(1, w.dims, next);
      if (bias !== null)
        replace(
          2,
          bias.dims,
          (bias.data as Float32Array).map((b, o) => b * (given[o] as number)),
        );
    });
    changed++;
  }
  return changed;
}
