import { z } from "zod";
import { constantTensor, definePass, isFloat, type Value } from "../../compiler/core/index.js";

/**
 * Gives each op its own copy of vector constants that several ops read. Biases and scales of normalizations are often equal before training (all 0, all 1), and
 * `canonicalize` merges what is equal: trained in one they would stay equal. Matrices that several ops read are taken as shared on purpose.
 */
export const untieVectors = definePass({
  name: "untie-vectors",
  summary: "Give each op its own vectors, where equal ones were merged",
  from: "float",
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { copies: "constants copied" },
  run({ graph, rewrite, count }) {
    for (const op of graph.constants()) {
      const v = op.outputs[0] as Value;
      if (v.type.kind !== "tensor" || v.type.shape?.length !== 1 || !isFloat(v.type.elem)) continue;
      // Operands of one op are told apart too: scale and variance of a normalization are both 1.
      const uses = graph.users(v).flatMap((user) => user.inputs.flatMap((x, i) => (x === v ? [{ user, i }] : [])));
      for (const { user, i } of uses.slice(1)) {
        rewrite.patch(user, `a copy of %${v.name}`, (edit) => {
          edit.setInput(
            user,
            i,
            edit.constant(`${user.name || user.outputs[0]?.name}.${i}`, constantTensor(v) as NonNullable<ReturnType<typeof constantTensor>>),
          );
        });
        count("copies");
      }
    }
  },
});
