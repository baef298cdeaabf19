import { z } from "zod";
import { definePass } from "../../compiler/core/index.js";
import { clipBounds, followedBy } from "./match.js";

/**
 * Makes a Relu or Clip behind conv, conv_transpose, gemm, matmul or add an attribute of the op. Only where nothing else reads the value in between.
 * Export writes the activation as a node again.
 */
export const fuseActivation = definePass({
  name: "fuse-activation",
  summary: "Fuse Relu and Clip into the op before",
  from: "float",
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { relu: "Relu fused", clip: "Clip fused" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("conv", "conv_transpose", "gemm", "matmul", "add")) {
      const type = op.outputs[0]?.type;
      if (op.attrs["activation"] !== undefined || type?.kind !== "tensor" || type.elem !== "f32") continue;
      const next = followedBy(graph, op, "relu", "clip");
      if (next === null) {
        const users = op.outputs[0] === undefined ? [] : graph.users(op.outputs[0]);
        const activation = users.find((u) => u.kind === "relu" || u.kind === "clip");
        if (activation !== undefined) decide(activation, "kept", `the result of ${op.kind} "${op.name}" is read by others too`);
        continue;
      }
      const bounds = next.kind === "relu" ? { low: 0, high: Number.POSITIVE_INFINITY } : clipBounds(next);
      if (bounds === null) {
        decide(next, "kept", "its limits are computed");
        continue;
      }
      if (next.inputs[0] !== op.outputs[0]) continue;
      const { low, high } = bounds;
      const relu = low === 0 && high === Number.POSITIVE_INFINITY;
      const fused = relu
        ? { activation: "relu" }
        : { activation: "clip", ...(Number.isFinite(low) ? { clip_min: low } : {}), ...(Number.isFinite(high) ? { clip_max: high } : {}) };
      rewrite.patch(op, `${next.kind} "${next.name}" fused`, (edit) => {
        edit.setAttrs(op, { ...op.attrs, ...fused });
        const y = op.outputs[0]!;
        const name = next.outputs[0]!.name;
        edit.replaceAllUses(next.outputs[0]!, y);
        edit.eraseDead(next);
        graph.rename(y, name);
      });
      count(next.kind === "relu" ? "relu" : "clip");
    }
  },
});
