import { num } from "../../graph.js";
import { defineOp } from "../../op.js";
import { fromNumbers, type Tensor } from "../../tensor.js";
import { type Dim, UNKNOWN_DIM } from "../../types.js";
import { attrs, ints } from "../_attrs.js";
import { need } from "../_eval.js";
import { checked, elementsOf, needElem, needEqual, needRank, one, unknownShape } from "../_infer.js";
import { transposeConvolve, transposeGeometry } from "../conv_transpose.js";
import { activation, channelsFirst, channelsLast, flat, group, spatial } from "./_nhwc.js";

export const cpuConvTranspose = defineOp({
  kind: "cpu.conv_transpose",
  summary: "Transposed convolution: x f32 [N, H, W, C], w [C, kh, kw, O/group], bias [O]?",
  attrs: attrs({ ...spatial, ...group, ...activation, output_padding: ints.optional() }),
  inputs: [2, 3],
  outputs: [1, 1],
  infer(ctx) {
    for (const i of [0, 1, 2]) needElem(ctx, i, ["f32"]);
    const x = needRank(ctx, 0, 4, 4);
    const w = needRank(ctx, 1, 4, 4);
    if (x === null || w === null) return one(checked(ctx, "f32", unknownShape(4)));
    const [n, h, width, c] = x as [Dim, Dim, Dim, Dim];
    const [wc, kh, kw, og] = w as [Dim, Dim, Dim, Dim];
    needEqual(ctx, c, wc, "data and weights differ in channels");
    const o = typeof og === "number" ? og * num(ctx, "group", 1) : UNKNOWN_DIM;
    needEqual(ctx, needRank(ctx, 2, 1, 1)?.[0], o, "the size of the bias is not the number of output channels");
    if (typeof kh !== "number" || typeof kw !== "number") return one(checked(ctx, "f32", [n, UNKNOWN_DIM, UNKNOWN_DIM, o]));
    return one(checked(ctx, "f32", [n, ...transposeGeometry(ctx.attrs, [h, width], [kh, kw]).out, o]));
  },
  cost: (_, { inputs }) => ({ macs: elementsOf(inputs[0]) * elementsOf(inputs[1]?.slice(1)), flops: 0 }),
  evaluate(op, inputs) {
    const first = (i: number): Tensor => {
      const t = channelsFirst(flat(need(inputs, i)));
      return fromNumbers("f32", t.dims, t.data);
    };
    const [y] = transposeConvolve(op, [first(0), first(1), inputs[2] ?? null]) as [Tensor];
    const last = channelsLast(flat(y));
    return [fromNumbers("f32", last.dims, last.data)];
  },
});
