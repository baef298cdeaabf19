import { z } from "zod";
import { definePass } from "../../compiler/core/index.js";

/** Removes ops whose results nobody reads, constants among them. Graph inputs stay: they are part of the model's interface. */
export const eliminateDeadCode = definePass({
  name: "eliminate-dead-code",
  summary: "Remove ops whose results nobody reads",
  from: ["float", "annotated", "quantized", "lowered"],
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { removed: "ops removed" },
  run({ graph, rewrite, count }) {
    for (const op of [...graph.ops].reverse()) {
      if (op.outputs.length === 0 || op.outputs.some((v) => graph.isUsed(v))) continue;
      if (!graph.ops.includes(op)) continue;
      const before = graph.ops.length;
      rewrite.remove(op, "nobody reads its results");
      count("removed", before - graph.ops.length);
    }
  },
});
