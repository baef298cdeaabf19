import { z } from "zod";
import { constantTensor, definePass, type Op, type Shape, sameShape, toNumbers, type Value } from "../../compiler/core/index.js";

const shapeOf = (v: Value | null | undefined): Shape | null => (v?.type.kind === "tensor" ? v.type.shape : null);
const sameType = (a: Value | null | undefined, b: Value | null | undefined): boolean =>
  a?.type.kind === "tensor" && b?.type.kind === "tensor" && a.type.elem === b.type.elem && sameShape(a.type.shape, b.type.shape);
const all = (v: Value | null | undefined, wanted: number): boolean => {
  const t = constantTensor(v);
  return t !== null && t.data.length <= 4096 && t.type !== "string" && toNumbers(t).every((e) => e === wanted);
};

/** Why the op gives back its first operand; `null` when it does not, or when that is not known. */
function identityReason(op: Op, keepDropout: boolean): string | null {
  const [x] = op.inputs;
  const [y] = op.outputs;
  switch (op.kind) {
    case "identity":
      return "identity";
    case "dropout":
      if (op.inputs[1] != null && all(op.inputs[1], 0)) return "nothing is dropped";
      return !keepDropout && (op.inputs[2] == null || all(op.inputs[2], 0)) ? "dropout does nothing in inference" : null;
    case "reshape":
    case "expand":
    case "flatten":
    case "tile":
      return sameType(x, y) ? "the shape stays" : null;
    case "cast":
      return sameType(x, y) || (x?.type.kind === "tensor" && x.type.elem === op.attrs["to"]) ? "the type stays" : null;
    case "transpose": {
      const perm = op.attrs["perm"] as readonly number[] | undefined;
      return perm?.every((p, i) => p === i) ? "the order stays" : null;
    }
    case "pad":
      return all(op.inputs[1], 0) ? "nothing is padded" : null;
    case "slice":
      return sameType(x, y) && (op.inputs[4] == null || all(op.inputs[4], 1)) ? "everything is kept" : null;
    case "concat":
    case "sum":
    case "mean":
    case "max":
    case "min":
      return op.inputs.length === 1 ? "one operand" : null;
    case "mul":
    case "div":
      return all(op.inputs[1], 1) && sameType(x, y) ? "times one" : null;
    default:
      return null;
  }
}

export const cleanUpOptions = {
  keep_dropout: z.boolean().default(false).describe("leave dropout, for a statement that trains: it is removed after the last of them"),
} as const;

/**
 * Removes ops that give back their operand: identity, dropout in inference, reshapes, casts, pads, slices and transposes that change nothing.
 * Adding zero is kept: it turns -0 into 0.
 */
export const removeIdentity = definePass({
  name: "remove-identity",
  summary: "Remove ops that give back their operand",
  from: ["float", "quantized"],
  to: "same",
  keeps: "bit-exact",
  options: z.object(cleanUpOptions).strict(),
  statistics: { removed: "ops removed" },
  run({ graph, options, rewrite, count, decide }) {
    for (const op of [...graph.ops]) {
      const reason = identityReason(op, options.keep_dropout);
      const [x] = op.inputs;
      if (reason === null || x == null || op.outputs.slice(1).some((v) => graph.isUsed(v))) continue;
      // An output needs a value of its own: one that is an input, a constant, or another output cannot stand in.
      if (op.outputs.some((v) => graph.isOutput(v)) && (x.producer === null || x.producer.kind === "constant" || graph.isOutput(x))) {
        decide(op, "kept", "it gives a graph output its own value");
        continue;
      }
      if (shapeOf(x) === null && shapeOf(op.outputs[0]) !== null && op.kind !== "identity") continue;
      rewrite.replace(op, x, reason);
      count("removed");
    }
  },
});
