import { z } from "zod";
import { definePass, type Op, type Value } from "../../compiler/core/index.js";

/**
 * Gives `train.batch_norm` the relu behind it, and its gradient op the mask before it: the image between them is neither written nor read. Both or neither: where
 * the normalized image or the masked gradient is read by others too, they stay.
 */
export const fuseBatchNormRelu = definePass({
  name: "fuse-batch-norm-relu",
  summary: "Fuse relu into batch normalization of training graphs, forward and backward",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { fused: "relus" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("train.batch_norm")) {
      const y = op.outputs[0] as Value;
      const relu = graph.onlyUser(y);
      if (relu?.kind !== "relu" || op.attrs["activation"] !== undefined) continue;
      const backward = graph.users(op.outputs[3] as Value).filter((u) => u.kind === "train.batch_norm_backward");
      const masks = backward.map((b) => maskOf(b, relu));
      if (masks.some((m) => m === null || graph.onlyUser(m.outputs[0] as Value) === null)) {
        decide(op, "left alone", "its gradient does not come through the relu alone");
        continue;
      }
      rewrite.patch(relu, "relu fused into batch normalization", (edit) => {
        edit.setAttrs(op, { ...op.attrs, activation: "relu" });
        backward.forEach((b, i) => {
          edit.setAttrs(b, { ...b.attrs, activation: "relu" });
          edit.setInput(b, 0, masks[i]?.inputs[0] as Value);
          edit.eraseDead(masks[i] as Op);
        });
        edit.replaceAllUses(relu.outputs[0] as Value, y);
        edit.eraseDead(relu);
      });
      count("fused");
    }
  },
});

const maskOf = (backward: Op, relu: Op): Op | null => {
  const mask = backward.inputs[0]?.producer;
  return mask?.kind === "train.relu_backward" && mask.inputs[1] === relu.outputs[0] ? mask : null;
};
