import { defineOp } from "../../op.js";
import { fromNumbers } from "../../tensor.js";
import { none } from "../_attrs.js";
import { need } from "../_eval.js";
import { elementsOf } from "../_infer.js";
import { globallyPooled } from "./_nhwc.js";
import { poolSums } from "./_pool.js";

export const cpuGlobalMaxPool = defineOp({
  kind: "cpu.global_max_pool",
  summary: "Greatest value over the image of x f32|u8|i8 [N, H, W, C]",
  attrs: none,
  inputs: [1, 1],
  outputs: [1, 1],
  infer: globallyPooled,
  cost: (_, { inputs }) => ({ macs: 0, flops: elementsOf(inputs[0]) }),
  evaluate(_, inputs) {
    const x = need(inputs, 0);
    const y = poolSums(x, {}, Number.NEGATIVE_INFINITY, (a, b) => (Number.isNaN(b) || b > a ? b : a), x.dims.slice(1, 3));
    return [fromNumbers(x.type, y.dims, y.data)];
  },
});
