import { z } from "zod";
import { definePass, type Op, type Value } from "../../compiler/core/index.js";
import { near, otherOperand, plain, sameRank, scalarOf, withScalar } from "./match.js";

/** The x of `erf(x / sqrt 2)` or `erf(x * 1/sqrt 2)`. */
function erfArgument(op: Op | null | undefined): Value | null {
  if (op?.kind !== "erf") return null;
  const inner = op.inputs[0]?.producer;
  if (inner?.kind === "div" && near(scalarOf(inner.inputs[1]), Math.SQRT2)) return inner.inputs[0] ?? null;
  const m = inner?.kind === "mul" ? withScalar(inner) : null;
  return m !== null && near(m.scalar, Math.SQRT1_2) ? m.x : null;
}

/** The x of `tanh(sqrt(2/pi) * (x + 0.044715 x^3))`. */
function tanhArgument(op: Op | null | undefined): Value | null {
  if (op?.kind !== "tanh") return null;
  const scale = op.inputs[0]?.producer;
  const m = scale?.kind === "mul" ? withScalar(scale) : null;
  if (m === null || !near(m.scalar, Math.sqrt(2 / Math.PI)) || m.x.producer?.kind !== "add" || !plain(m.x.producer)) return null;
  for (const x of m.x.producer.inputs) {
    const cubic = x == null ? null : otherOperand(m.x.producer, x)?.producer;
    const c = cubic?.kind === "mul" ? withScalar(cubic) : null;
    if (c === null || !near(c.scalar, 0.044715)) continue;
    const cube = c.x.producer;
    if (cube?.kind === "pow" && cube.inputs[0] === x && near(scalarOf(cube.inputs[1]), 3)) return x ?? null;
    if (cube?.kind === "mul") {
      const square = x == null ? null : otherOperand(cube, x)?.producer;
      if (square?.kind === "mul" && square.inputs[0] === x && square.inputs[1] === x) return x ?? null;
    }
  }
  return null;
}

/** Factors of a product tree, scalars multiplied together. */
function factors(v: Value, depth = 0): { scalar: number; values: Value[] } {
  const op = v.producer;
  if (op?.kind === "mul" && depth < 4) {
    const parts = op.inputs.map((x) => factors(x as Value, depth + 1));
    return { scalar: parts.reduce((n, p) => n * p.scalar, 1), values: parts.flatMap((p) => p.values) };
  }
  const s = scalarOf(v);
  return s === null ? { scalar: 1, values: [v] } : { scalar: s, values: [] };
}

/**
 * Recognizes the decomposed GELU, 0.5 x (1 + erf(x / sqrt 2)) and its tanh form (Hendrycks and Gimpel 2016), in any order of the factors.
 * Export writes `Gelu` from opset 20 on.
 */
export const fuseGelu = definePass({
  name: "fuse-gelu",
  summary: "Recognize decomposed GELU",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { exact: "erf forms", tanh: "tanh forms" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("mul")) {
      if (!graph.owns(op)) continue;
      const { scalar, values } = factors(op.outputs[0] as Value);
      if (values.length !== 2 || !near(scalar, 0.5)) continue;
      for (const [x, gate] of [values, [...values].reverse()] as [Value, Value][]) {
        const one = gate.producer?.kind === "add" ? withScalar(gate.producer) : null;
        if (one === null || !near(one.scalar, 1)) continue;
        const exact = erfArgument(one.x.producer) === x;
        if (!exact && tanhArgument(one.x.producer) !== x) continue;
        if (!sameRank(x, op.outputs[0])) {
          decide(op, "kept", "a constant in the expression changes its rank, or the rank is not known");
          break;
        }
        rewrite.patch(op, "decomposed GELU", (edit) => {
          const y = edit.insert("gelu", [x], { attrs: exact ? {} : { approximate: "tanh" }, name: op.name });
          edit.replaceAllUses(op.outputs[0] as Value, y.outputs[0] as Value);
          edit.eraseDead(op);
        });
        count(exact ? "exact" : "tanh");
        break;
      }
    }
  },
});
