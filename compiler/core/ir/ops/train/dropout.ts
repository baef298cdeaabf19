import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, toNumbers } from "../../tensor.js";
import { attrs, float, int } from "../_attrs.js";
import { need } from "../_eval.js";
import { floatTypes, like, needElem, product } from "../_infer.js";
import { scalarOr } from "./_update.js";

/** The finalizer of MurmurHash3 (Appleby), on 32 bits. */
function mix(h: number): number {
  let v = h ^ (h >>> 16);
  v = Math.imul(v, 0x85ebca6b);
  v ^= v >>> 13;
  v = Math.imul(v, 0xc2b2ae35);
  return (v ^ (v >>> 16)) >>> 0;
}

/**
 * Dropout while training (Srivastava et al. 2014), with what is kept scaled by 1 / (1 - ratio). Operands x and the step, a single number. Which elements are dropped is
 * a function of `seed`, the step and the element's place alone: the gradient and activations that are made again see the same mask, and none is stored.
 * With k = mix(seed + mix(step)), element i is dropped where mix(mix(i + k) ^ mix(k)) / 2^32 < ratio; all on 32 bits.
 */
export const trainDropout = defineOp({
  kind: "train.dropout",
  summary: "Dropout while training: a mask drawn from a seed and the step",
  attrs: attrs({ ratio: float, seed: int }),
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    needElem(ctx, 0, floatTypes);
    return like(ctx, 0);
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: product(outputs[0] ?? []) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const [ratio, key] = [num(op, "ratio", 0), mix(num(op, "seed", 0) + mix(scalarOr(inputs[1], 0)))];
    const second = mix(key);
    const factor = 1 / (1 - ratio);
    const scale = x.type === "f32" ? Math.fround(factor) : factor;
    const threshold = Math.min(Math.ceil(ratio * 2 ** 32), 2 ** 32 - 1);
    const kept = (i: number): boolean => mix(mix(i + key) ^ second) >= threshold;
    return [
      fromNumbers(
        x.type,
        x.dims,
        toNumbers(x).map((v, i) => (kept(i) ? v * scale : 0)),
      ),
    ];
  },
});
