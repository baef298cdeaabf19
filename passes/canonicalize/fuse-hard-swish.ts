import { z } from "zod";
import { definePass, num, type Op, type Value } from "../../compiler/core/index.js";
import { clipBounds, near, otherOperand, sameRank, scalarOf, withScalar } from "./match.js";

/** The x of clip(x + 3, 0, 6). */
function relu6OfShifted(op: Op | null | undefined): Value | null {
  if (op?.kind !== "clip") return null;
  const bounds = clipBounds(op);
  const shifted = op.inputs[0]?.producer;
  const add = shifted?.kind === "add" && shifted.attrs["activation"] === undefined ? withScalar(shifted) : null;
  return bounds !== null && bounds.low === 0 && bounds.high === 6 && add !== null && near(add.scalar, 3) ? add.x : null;
}

/** The x of an expression that equals hard_sigmoid(x) with slope 1/6 and offset 1/2. */
function gateArgument(v: Value): Value | null {
  const op = v.producer;
  if (op?.kind === "hard_sigmoid" && near(num(op, "alpha", 0.2), 1 / 6) && near(num(op, "beta", 0.5), 0.5)) return op.inputs[0] ?? null;
  if (op?.kind === "div" && near(scalarOf(op.inputs[1]), 6)) return relu6OfShifted(op.inputs[0]?.producer);
  const m = op?.kind === "mul" ? withScalar(op) : null;
  return m !== null && near(m.scalar, 1 / 6) ? relu6OfShifted(m.x.producer) : null;
}

/** Recognizes x * clip(x + 3, 0, 6) / 6 in its usual orders, and x * hard_sigmoid(x) (Howard et al. 2019, MobileNetV3). */
export const fuseHardSwish = definePass({
  name: "fuse-hard-swish",
  summary: "Recognize decomposed HardSwish",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { fused: "expressions replaced" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("mul", "div")) {
      if (!graph.owns(op)) continue;
      const x = op.kind === "mul" ? productForm(op) : quotientForm(op);
      if (x === null) continue;
      if (!sameRank(x, op.outputs[0])) {
        decide(op, "kept", "a constant in the expression changes its rank, or the rank is not known");
        continue;
      }
      rewrite.patch(op, "decomposed HardSwish", (edit) => {
        const y = edit.insert("hard_swish", [x], { name: op.name });
        edit.replaceAllUses(op.outputs[0] as Value, y.outputs[0] as Value);
        edit.eraseDead(op);
      });
      count("fused");
    }
  },
});

/** x * gate(x), or (x * clip(x + 3, 0, 6)) * 1/6. */
function productForm(op: Op): Value | null {
  for (const x of op.inputs) {
    const gate = x == null ? null : otherOperand(op, x);
    if (x != null && gate !== null && gateArgument(gate) === x) return x;
  }
  const m = withScalar(op);
  return m !== null && near(m.scalar, 1 / 6) && m.x.producer?.kind === "mul" ? gatedBySix(m.x.producer) : null;
}

const quotientForm = (op: Op): Value | null =>
  near(scalarOf(op.inputs[1]), 6) && op.inputs[0]?.producer?.kind === "mul" ? gatedBySix(op.inputs[0].producer) : null;

function gatedBySix(mul: Op): Value | null {
  for (const x of mul.inputs) {
    const gate = x == null ? null : otherOperand(mul, x);
    if (x != null && gate !== null && relu6OfShifted(gate.producer) === x) return x;
  }
  return null;
}
