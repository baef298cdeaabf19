import { defineOp } from "../../op.js";
import { fromNumbers } from "../../tensor.js";
import { attrs, bool01, ints } from "../_attrs.js";
import { need } from "../_eval.js";
import { elementsOf } from "../_infer.js";
import { pooled, spatial } from "./_nhwc.js";
import { poolSums } from "./_pool.js";

export const cpuMaxPool = defineOp({
  kind: "cpu.max_pool",
  summary: "Greatest value of each window of x f32|u8|i8 [N, H, W, C]",
  attrs: attrs({ ...spatial, kernel_shape: ints, ceil_mode: bool01.optional() }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer: pooled,
  cost: (op, { outputs }) => ({ macs: 0, flops: elementsOf(outputs[0]) * elementsOf(op.attrs["kernel_shape"] as number[]) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const y = poolSums(x, op.attrs, Number.NEGATIVE_INFINITY, (a, b) => (Number.isNaN(b) || b > a ? b : a));
    return [fromNumbers(x.type, y.dims, y.data)];
  },
});
