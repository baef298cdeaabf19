import { z } from "zod";
import { constantTensor, definePass, f32, type Op, type Value } from "../../compiler/core/index.js";
import { otherOperand, sameRank, scalarOf, shapeOf, withScalar } from "./match.js";

/** The axis from which `op` reduces to the end with kept dimensions; `null` for other reductions. */
function trailingAxis(op: Op | null | undefined): number | null {
  if (op?.kind !== "reduce_mean" || op.attrs["keepdims"] === 0) return null;
  const rank = shapeOf(op.inputs[0])?.length;
  const axes = constantTensor(op.inputs[1]);
  if (rank === undefined || axes === null) return null;
  const sorted = Array.from(axes.data as BigInt64Array, (a) => (Number(a) < 0 ? Number(a) + rank : Number(a))).sort((a, b) => a - b);
  return sorted.length > 0 && sorted.every((a, i) => a === rank - sorted.length + i) ? rank - sorted.length : null;
}

/** The operand of v², written as v * v or pow(v, 2). */
function squared(v: Value | null | undefined): Value | null {
  const op = v?.producer;
  if (op?.kind === "mul" && op.inputs[0] === op.inputs[1]) return op.inputs[0] ?? null;
  return op?.kind === "pow" && scalarOf(op.inputs[1]) === 2 ? (op.inputs[0] ?? null) : null;
}

interface Match {
  readonly x: Value;
  readonly axis: number;
  readonly epsilon: number;
}

/** Matches (x - mean(x)) / sqrt(mean((x - mean(x))²) + epsilon), or its product with the reciprocal. */
function normalized(op: Op): Match | null {
  if (op.kind !== "div" && op.kind !== "mul") return null;
  for (const centred of op.kind === "div" ? [op.inputs[0]] : op.inputs) {
    let root = centred == null ? null : op.kind === "div" ? op.inputs[1]?.producer : otherOperand(op, centred)?.producer;
    if (op.kind === "mul") {
      if (root?.kind === "reciprocal") root = root.inputs[0]?.producer;
      else if (root?.kind === "div" && scalarOf(root.inputs[0]) === 1) root = root.inputs[1]?.producer;
      else continue;
    }
    const sum =
      root?.kind === "sqrt" ? root.inputs[0]?.producer : root?.kind === "pow" && scalarOf(root.inputs[1]) === 0.5 ? root.inputs[0]?.producer : null;
    const parts = sum?.kind === "add" ? withScalar(sum) : null;
    const axis = trailingAxis(parts?.x.producer);
    const base = squared(parts?.x.producer?.inputs[0]);
    const sub = centred?.producer;
    if (parts === null || axis === null || base === null || sub?.kind !== "sub") continue;
    const [x, mean] = sub.inputs;
    if (x == null || trailingAxis(mean?.producer) !== axis || mean?.producer?.inputs[0] !== x) continue;
    // Exporters compute x - mean(x) once or twice.
    const again = base.producer;
    const same =
      base === centred ||
      (again?.kind === "sub" &&
        again.inputs[0] === x &&
        trailingAxis(again.inputs[1]?.producer) === axis &&
        again.inputs[1]?.producer?.inputs[0] === x);
    if (same) return { x, axis, epsilon: parts.scalar };
  }
  return null;
}

/**
 * Recognizes layer normalization that an exporter took apart, with or without scale and bias (Ba, Kiros, Hinton 2016). Scale and bias are taken in
 * when they are constants of the normalized axes' shape.
 */
export const fuseLayerNorm = definePass({
  name: "fuse-layer-norm",
  summary: "Recognize decomposed layer normalization",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { fused: "expressions replaced" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("div", "mul")) {
      if (!graph.owns(op)) continue;
      const m = normalized(op);
      if (m === null) continue;
      const dims = shapeOf(m.x)?.slice(m.axis) ?? null;
      if (dims === null || !dims.every((d) => typeof d === "number")) {
        decide(op, "kept", "the normalized axes are known only at run time");
        continue;
      }
      if (m.x.type.kind !== "tensor" || m.x.type.elem !== "f32" || !sameRank(m.x, op.outputs[0])) {
        decide(op, "kept", "it is not f32, or a constant in the expression changes its rank");
        continue;
      }
      const fits = (v: Value | null): v is Value => v?.producer?.kind === "constant" && shapeOf(v)?.join() === dims.join();
      const scaleOp = graph.onlyUser(op.outputs[0] as Value);
      const scale = scaleOp?.kind === "mul" ? otherOperand(scaleOp, op.outputs[0] as Value) : null;
      const scaled = scaleOp !== null && fits(scale) ? scaleOp : null;
      const biasOp = scaled === null ? null : graph.onlyUser(scaled.outputs[0] as Value);
      const bias = biasOp?.kind === "add" && biasOp.attrs["activation"] === undefined ? otherOperand(biasOp, scaled?.outputs[0] as Value) : null;
      const last = biasOp !== null && fits(bias) ? biasOp : (scaled ?? op);
      rewrite.patch(last, "decomposed layer normalization", (edit) => {
        const ones = (): Value =>
          edit.constant(
            `${op.name || "layer_norm"}.scale`,
            f32(dims as number[], new Float32Array((dims as number[]).reduce((a, b) => a * b, 1)).fill(1)),
          );
        const operands = [m.x, scaled === null ? ones() : (scale as Value), ...(last === biasOp ? [bias as Value] : [])];
        const y = edit.insert("layer_normalization", operands, { attrs: { axis: m.axis, epsilon: m.epsilon }, name: last.name || op.name });
        edit.replaceAllUses(last.outputs[0] as Value, y.outputs[0] as Value);
        edit.eraseDead(last);
      });
      count("fused");
    }
  },
});
