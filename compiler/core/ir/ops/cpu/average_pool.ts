import { defineOp } from "../../op.js";
import { attrs, bool01, ints } from "../_attrs.js";
import { need } from "../_eval.js";
import { elementsOf } from "../_infer.js";
import { average } from "./_average.js";
import { pooled, spatial } from "./_nhwc.js";
import { poolSums } from "./_pool.js";
import { checkParams, params } from "./_q.js";

export const cpuAveragePool = defineOp({
  kind: "cpu.average_pool",
  summary: "Mean of each window of x f32|u8|i8 [N, H, W, C]",
  attrs: attrs({
    ...spatial,
    kernel_shape: ints,
    ceil_mode: bool01.optional(),
    count_include_pad: bool01.optional(),
    ...params("x", true),
    ...params("y", true),
  }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    for (const name of ["x", "y"]) checkParams(ctx, name, ctx.type(0)?.elem);
    return pooled(ctx);
  },
  cost: (op, { outputs }) => ({ macs: 0, flops: elementsOf(outputs[0]) * elementsOf(op.attrs["kernel_shape"] as number[]) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const y = poolSums(x, op.attrs, 0, (a, b) => a + b);
    const real = poolSums(x, { ...op.attrs, count_include_pad: 0 }, 0, (a) => a).counts;
    return [average(op, x, y, (pixel) => real[pixel] as number)];
  },
});
