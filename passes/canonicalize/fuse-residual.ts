import { z } from "zod";
import { definePass, type Op, sameShape, type Value } from "../../compiler/core/index.js";
import { shapeOf } from "./match.js";

/**
 * Makes the add behind a convolution its `residual` operand, with the add's activation. Only where shapes are equal (no broadcasting) and nothing else
 * reads the convolution. INT8 profiles for CPUs want the add apart, since ONNX Runtime fuses a quantized convolution only up to its own output.
 */
export const fuseResidual = definePass({
  name: "fuse-residual",
  summary: "Fuse residual adds into the convolution before",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { fused: "adds fused" },
  run({ graph, rewrite, count, decide }) {
    const position = (op: Op | null): number => (op === null ? -1 : graph.ops.indexOf(op));
    for (const add of graph.opsOf("add")) {
      const [a, b] = add.inputs as readonly [Value, Value];
      const candidates = (
        [
          [a, b],
          [b, a],
        ] as const
      ).filter(
        ([v]) =>
          v.producer?.kind === "conv" && v.producer.inputs[3] == null && v.producer.attrs["activation"] === undefined && graph.onlyUser(v) === add,
      );
      if (candidates.length === 0) continue;
      // The convolution that comes later, so that the other operand exists when it runs.
      const [y, residual] = candidates.reduce((best, c) => (position(c[0].producer) > position(best[0].producer) ? c : best));
      const conv = y.producer as Op;
      if (!sameShape(shapeOf(y), shapeOf(residual))) {
        decide(add, "kept", "the operands broadcast, or a shape is not known");
        continue;
      }
      if (position(residual.producer) > position(conv)) {
        decide(add, "kept", "the other operand is made after the convolution");
        continue;
      }
      rewrite.patch(conv, `residual add "${add.name}" fused`, (edit) => {
        if (conv.inputs.length < 3) edit.setInput(conv, 2, null);
        edit.setInput(conv, 3, residual);
        const { activation, clip_min, clip_max } = add.attrs;
        edit.setAttrs(conv, {
          ...conv.attrs,
          ...(activation === undefined ? {} : { activation }),
          ...(clip_min === undefined ? {} : { clip_min }),
          ...(clip_max === undefined ? {} : { clip_max }),
        });
        const name = add.outputs[0]!.name;
        edit.replaceAllUses(add.outputs[0]!, y);
        edit.eraseDead(add);
        graph.rename(y, name);
      });
      count("fused");
    }
  },
});
