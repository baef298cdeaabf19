import { z } from "zod";
import { constantTensor, definePass, opDefinition, type Value } from "../../compiler/core/index.js";
import { storedIntegers } from "./qdq.js";

/**
 * Computes weights that are stored in integers and used in float (weight-only quantization): once at lowering, instead of in each run. What an integer op
 * takes has no DequantizeLinear any more at this point.
 */
export const foldWeights = definePass({
  name: "fold-weights",
  summary: "Dequantize constants that no integer op took",
  from: "lowered",
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { folded: "constants dequantized" },
  run({ graph, rewrite, count }) {
    for (const op of graph.opsOf("dequantize_linear")) {
      const inputs = op.inputs.map((v, i) => (v === null ? null : i === 0 ? storedIntegers(v) : constantTensor(v)));
      const value = op.outputs[0] as Value;
      if (inputs.some((t, i) => t === null && op.inputs[i] !== null) || graph.isOutput(value)) continue;
      const [tensor] = opDefinition("dequantize_linear")?.evaluate?.(op, inputs) ?? [];
      if (tensor === undefined) continue;
      rewrite.patch(op, "stored weights are used in float", (edit) => {
        edit.replaceAllUses(value, edit.constant(`${value.name}.f32`, tensor));
        edit.eraseDead(op);
      });
      count("folded");
    }
  },
});
