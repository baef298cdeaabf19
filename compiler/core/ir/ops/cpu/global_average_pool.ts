import { defineOp } from "../../op.js";
import { attrs } from "../_attrs.js";
import { need } from "../_eval.js";
import { elementsOf } from "../_infer.js";
import { average } from "./_average.js";
import { globallyPooled } from "./_nhwc.js";
import { poolSums } from "./_pool.js";
import { checkParams, params } from "./_q.js";

export const cpuGlobalAveragePool = defineOp({
  kind: "cpu.global_average_pool",
  summary: "Mean over the image of x f32|u8|i8 [N, H, W, C]",
  attrs: attrs({ ...params("x", true), ...params("y", true) }),
  inputs: [1, 1],
  outputs: [1, 1],
  infer(ctx) {
    for (const name of ["x", "y"]) checkParams(ctx, name, ctx.type(0)?.elem);
    return globallyPooled(ctx);
  },
  cost: (_, { inputs }) => ({ macs: 0, flops: elementsOf(inputs[0]) }),
  evaluate(op, inputs) {
    const x = need(inputs, 0);
    const area = (x.dims[1] as number) * (x.dims[2] as number);
    return [
      average(
        op,
        x,
        poolSums(x, {}, 0, (a, b) => a + b, x.dims.slice(1, 3)),
        () => area,
      ),
    ];
  },
});
