import { z } from "zod";
import { type AttrValue, definePass, type Op, opDefinition, type Value } from "../../compiler/core/index.js";

/** JSON writes NaN and the infinities alike, and -0 as 0: numbers go by themselves. */
const numberKey = (v: number): string => (Object.is(v, -0) ? "-0" : String(v));
const attrKey = (v: AttrValue): string =>
  typeof v === "number"
    ? numberKey(v)
    : Array.isArray(v)
      ? `[${v.map((e) => (typeof e === "number" ? numberKey(e) : JSON.stringify(e))).join()}]`
      : typeof v === "object" && "hash" in v
        ? v.hash()
        : JSON.stringify(v);

/**
 * Merges ops of one kind with equal attributes and operands. Ops with regions, carried ops and random generators are left alone.
 * Constants are the work of `dedupe-constants`.
 */
export const mergeCommonSubexpressions = definePass({
  name: "merge-common-subexpressions",
  summary: "Merge ops that compute the same from the same operands",
  from: ["float", "quantized"],
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { merged: "ops merged" },
  run({ graph, rewrite, count }) {
    const ids = new Map<Value, number>();
    const id = (v: Value | null): number => {
      if (v === null) return -1;
      if (!ids.has(v)) ids.set(v, ids.size);
      return ids.get(v) as number;
    };
    const first = new Map<string, Op>();
    for (const op of [...graph.ops]) {
      if (op.kind === "constant" || op.regions.length > 0 || op.outputs.length === 0 || opDefinition(op.kind)?.impure === true) continue;
      const key = [
        op.kind,
        op.outputs.length,
        ...op.inputs.map(id),
        ...Object.keys(op.attrs)
          .sort()
          .map((k) => `${k}=${attrKey(op.attrs[k] as AttrValue)}`),
      ].join("|");
      const kept = first.get(key);
      if (kept === undefined || op.outputs.some((v) => graph.isOutput(v) && kept.outputs.some((w) => graph.isOutput(w)))) {
        first.set(key, kept ?? op);
        continue;
      }
      rewrite.replace(op, kept, "equal operands and attributes");
      count("merged");
    }
  },
});
