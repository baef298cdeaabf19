import { defineOp } from "../op.js";
import { type Tensor, toNumbers } from "../tensor.js";
import { none } from "./_attrs.js";
import { isBig, mapTensors, need } from "./_eval.js";
import { like, product } from "./_infer.js";

export const clip = defineOp({
  kind: "clip",
  summary: "x limited to [min, max]; either bound may be absent",
  attrs: none,
  inputs: [1, 3],
  outputs: [1, 1],
  infer: (ctx) => like(ctx),
  cost: (_, { outputs }) => ({ macs: 0, flops: 2 * product(outputs[0] ?? []) }),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const [low, high] = [inputs[1] ?? null, inputs[2] ?? null];
    if (isBig(x.type)) {
      const bound = (t: Tensor | null): bigint | null => (t === null ? null : ((t.data as BigInt64Array)[0] ?? null));
      const [a, b] = [bound(low), bound(high)];
      return [
        mapTensors(
          [x],
          x.type,
          (v) => v!,
          (v) => {
            const w = a !== null && v! < a ? a : v!;
            return b !== null && w > b ? b : w;
          },
        ),
      ];
    }
    const a = low === null ? Number.NEGATIVE_INFINITY : (toNumbers(low)[0] as number);
    const b = high === null ? Number.POSITIVE_INFINITY : (toNumbers(high)[0] as number);
    return [mapTensors([x], x.type, (v) => Math.min(b, Math.max(a, v!)))];
  },
});
