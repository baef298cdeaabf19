import { z } from "zod";
import { defineOp } from "../op.js";

/** A constant: its bytes are the op's `data` blob, its type is the value's. */
export const constant = defineOp({
  kind: "constant",
  summary: "Tensor known at compile time",
  attrs: z.object({}).strict(),
  inputs: [0, 0],
  outputs: [1, 1],
  infer: ({ op }) => ({ types: [op.outputs[0]!.type] }),
});
