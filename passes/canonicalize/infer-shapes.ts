import { z } from "zod";
import { definePass, inferGraph } from "../../compiler/core/index.js";

/** Runs type and shape inference over the whole graph: after passes that changed types, and on graphs from elsewhere. Changes no values. */
export const inferShapes = definePass({
  name: "infer-shapes",
  summary: "Infer types and shapes of all values",
  from: ["float", "annotated", "quantized", "lowered"],
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { unknown: "values whose type is not known" },
  run({ graph, count, decide }) {
    inferGraph(graph);
    for (const op of graph.ops) {
      for (const v of op.outputs) {
        if (v.type.kind === "tensor" && v.type.shape !== null) continue;
        count("unknown");
        decide(op, "unknown type", op.kind === "carry" ? "the operator is carried, its rule is not known" : "the operands do not tell");
      }
    }
  },
});
