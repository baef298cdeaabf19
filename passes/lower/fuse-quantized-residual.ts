import { z } from "zod";
import { definePass, num, type Op, sameShape, str, type Value } from "../../compiler/core/index.js";
import { shapeOf } from "../canonicalize/match.js";

/**
 * Makes an 8-bit add part of the 8-bit convolution before it: the bytes are the same, but the convolution's own result never leaves the cache. Only where
 * shapes are equal (no broadcasting), nothing else reads the convolution, and the other operand exists when it runs. After the layout is assigned.
 */
export const fuseQuantizedResidual = definePass({
  name: "fuse-quantized-residual",
  summary: "Run 8-bit residual adds inside the convolution before",
  from: "lowered",
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { fused: "adds fused" },
  run({ graph, rewrite, count }) {
    const position = (v: Value): number => (v.producer === null ? -1 : graph.ops.indexOf(v.producer));
    for (const add of graph.opsOf("cpu.qadd")) {
      const [a, b] = add.inputs as readonly [Value, Value];
      const pairs = [
        { own: "a", y: a, other: "b", residual: b },
        { own: "b", y: b, other: "a", residual: a },
      ] as const;
      // The convolution that comes later, so that the other operand exists when it runs.
      const pair = pairs.find(
        ({ y, residual }) =>
          fits(y.producer) && graph.onlyUser(y) === add && sameShape(shapeOf(y), shapeOf(residual)) && position(residual) < position(y),
      );
      if (pair === undefined) continue;
      const conv = pair.y.producer as Op;
      // Written as it is read.
      if (num(add, `${pair.own}_scale`, 1) !== num(conv, "y_scale", 1) || num(add, `${pair.own}_zp`, 0) !== num(conv, "y_zp", 0)) continue;
      const type = add.outputs[0]?.type;
      rewrite.patch(conv, `8-bit add "${add.name}" fused`, (edit) => {
        edit.setInput(conv, 4, pair.residual);
        edit.setAttrs(conv, {
          ...conv.attrs,
          residual_scale: num(add, `${pair.other}_scale`, 1),
          residual_zp: num(add, `${pair.other}_zp`, 0),
          sum_scale: num(add, "y_scale", 1),
          sum_zp: num(add, "y_zp", 0),
          sum_type: str(add, "y_type", type?.kind === "tensor" ? type.elem : "u8"),
          ...limit("q_min", "sum_min"),
          ...limit("q_max", "sum_max"),
          // The roundings of an add depend on the order of its operands.
          ...(pair.other === "a" ? { residual_first: 1 } : {}),
        });
        edit.replaceAllUses(add.outputs[0] as Value, pair.y);
        edit.eraseDead(add);
      });
      count("fused");

      function limit(from: string, to: string): Record<string, number> {
        const value = add.attrs[from];
        return typeof value === "number" ? { [to]: value } : {};
      }
    }
  },
});

const fits = (op: Op | null): boolean => op?.kind === "cpu.qconv" && op.inputs[4] == null && op.attrs["y_type"] !== "f32";
