import { z } from "zod";
import { definePass, formatType, type Graph, isConstant, type Op, type Value } from "../../compiler/core/index.js";

/**
 * Stored weights and their zero points: ONNX Runtime refuses to load a file that shares one between two DequantizeLinears when it turns signed weights to
 * unsigned (its exact mode on x86 without VNNI, `session.x64quantprecision`, seen in 1.30).
 */
const isStoredWeight = (graph: Graph, v: Value): boolean =>
  graph.users(v).some((u) => u.kind === "dequantize_linear" && isConstant(u.inputs[0]) && (u.inputs[0] === v || u.inputs[2] === v));

/** Shares constants whose type and bytes are equal. The first in graph order is kept, with its name. Weights stored in integers stay apart. */
export const dedupeConstants = definePass({
  name: "dedupe-constants",
  summary: "Share constants with equal type and bytes",
  from: ["float", "quantized"],
  to: "same",
  keeps: "bit-exact",
  options: z.object({ minBytes: z.number().int().min(0).default(0).describe("leave smaller tensors alone") }).strict(),
  statistics: { merged: "constants merged", bytesSaved: "bytes no longer stored" },
  run({ graph, options, rewrite, count }) {
    const first = new Map<string, Op>();
    for (const op of graph.constants({ minBytes: options.minBytes })) {
      const v = op.outputs[0] as Value;
      if (graph.isOutput(v) || !graph.isUsed(v) || isStoredWeight(graph, v)) continue;
      const key = `${formatType(v.type)} ${op.data?.hash()}`;
      const kept = first.get(key);
      if (kept === undefined) {
        first.set(key, op);
        continue;
      }
      rewrite.replace(op, kept, "equal bytes");
      count("merged");
      count("bytesSaved", op.data?.byteLength ?? 0);
    }
  },
});
