import { z } from "zod";
import { definePass, type Value } from "../../compiler/core/index.js";
import { followedBy, otherOperand, shapeOf } from "./match.js";

/** Makes a matrix product with a constant and the bias add behind it one gemm. ONNX Gemm is 2-D: products of higher rank stay, with a reason. */
export const fuseMatmulAdd = definePass({
  name: "fuse-matmul-add",
  summary: "Fuse a matrix product and its bias into gemm",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { fused: "pairs fused" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("matmul")) {
      const add = followedBy(graph, op, "add");
      if (add === null || op.attrs["activation"] !== undefined) continue;
      const y = op.outputs[0] as Value;
      const bias = otherOperand(add, y);
      const [x, w] = op.inputs as readonly [Value, Value];
      if (bias?.producer?.kind !== "constant") continue;
      const columns = shapeOf(w)?.[1];
      const shape = shapeOf(bias);
      if (shapeOf(x)?.length !== 2 || shapeOf(w)?.length !== 2) {
        decide(op, "kept", `Gemm takes matrices, this product has rank ${shapeOf(x)?.length ?? "unknown"}`);
        continue;
      }
      if (
        shape === null ||
        shape.length > 2 ||
        (shape.length > 0 && shape.at(-1) !== columns && shape.at(-1) !== 1) ||
        (shape.length === 2 && shape[0] !== 1)
      ) {
        decide(op, "kept", "what is added is no bias row");
        continue;
      }
      rewrite.patch(add, `matmul "${op.name}" and its bias joined`, (edit) => {
        const gemm = edit.insert("gemm", [x, w, bias], { attrs: { ...add.attrs }, name: op.name || add.name });
        edit.replaceAllUses(add.outputs[0] as Value, gemm.outputs[0] as Value);
        edit.eraseDead(add);
      });
      count("fused");
    }
  },
});
