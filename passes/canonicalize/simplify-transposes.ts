import { z } from "zod";
import { definePass, type Value } from "../../compiler/core/index.js";

/** Joins a transpose with the transpose before it; a pair that gives the first order back disappears. */
export const simplifyTransposes = definePass({
  name: "simplify-transposes",
  summary: "Join chains of transposes",
  from: ["float", "quantized", "lowered"],
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { joined: "transposes joined", removed: "pairs that cancelled" },
  run({ graph, rewrite, count }) {
    for (const op of graph.opsOf("transpose")) {
      const before = op.inputs[0]?.producer;
      const outer = op.attrs["perm"] as readonly number[] | undefined;
      const inner = before?.attrs["perm"] as readonly number[] | undefined;
      if (before?.kind !== "transpose" || outer === undefined || inner === undefined || !graph.owns(op)) continue;
      const joined = outer.map((p) => inner[p] as number);
      const source = before.inputs[0] as Value;
      const cancels = joined.every((p, i) => p === i);
      if (cancels && op.outputs.some((v) => graph.isOutput(v)) && (source.producer === null || graph.isOutput(source))) continue;
      rewrite.patch(op, cancels ? "the orders cancel" : "two transposes in a row", (edit) => {
        const y = cancels ? source : (edit.insert("transpose", [source], { attrs: { perm: joined }, name: op.name }).outputs[0] as Value);
        edit.replaceAllUses(op.outputs[0] as Value, y);
        edit.eraseDead(op);
      });
      count(cancels ? "removed" : "joined");
    }
  },
});
