import { defineOp } from "../../op.js";
import { type Tensor, zeros } from "../../tensor.js";
import { none } from "../_attrs.js";
import { need } from "../_eval.js";
import { checked, elementsOf, needElem, needEqual, needRank, one, unknown } from "../_infer.js";
import { eightBit } from "./_nhwc.js";

/** y = table[x as an unsigned byte]: i8 -1 reads entry 255. */
export const cpuLut = defineOp({
  kind: "cpu.lut",
  summary: "8-bit values through a table of 256 entries",
  attrs: none,
  inputs: [2, 2],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1]) needElem(ctx, i, eightBit);
    needEqual(ctx, needRank(ctx, 1, 1, 1)?.[0], 256, "the table has the wrong size", "it has one entry for each byte");
    const table = ctx.type(1);
    return table === null ? unknown(ctx) : one(checked(ctx, table.elem, ctx.shape(0)));
  },
  cost: (_, { outputs }) => ({ macs: 0, flops: elementsOf(outputs[0]) }),
  evaluate(_, inputs) {
    const [x, table] = [need(inputs, 0), need(inputs, 1)];
    const out: Tensor = zeros(table.type, x.dims);
    (x.data as Int8Array).forEach((v, i) => {
      (out.data as Int8Array)[i] = (table.data as Int8Array)[v & 255] as number;
    });
    return [out];
  },
});
