import { z } from "zod";
import { definePass, f32, type PassCall, type PassDefinition, type Value } from "../../../../compiler/core/index.js";

const none = z.object({}).strict();
export const call = (pass: PassDefinition<string, never, never> | PassDefinition, options: Record<string, unknown> = {}): PassCall => ({
  pass: pass as PassDefinition,
  options,
});

/** relu(relu(x)) is relu(x): one patch each. */
export const mergeRelu = definePass({
  name: "merge-relu",
  summary: "relu of relu is relu",
  from: "float",
  to: "same",
  keeps: "bit-exact",
  options: none,
  statistics: { merged: "ops removed" },
  run({ graph, rewrite, count, decide }) {
    for (const op of graph.opsOf("relu")) {
      const before = op.inputs[0]?.producer;
      if (before?.kind !== "relu") decide(op, "left", "its operand is no relu");
      else {
        rewrite.replace(op, before, "idempotent");
        count("merged");
      }
    }
  },
});

/** Makes every add of a constant add one more: lies about keeping values. */
export const wrong = definePass({
  name: "wrong",
  summary: "Adds one more",
  from: "float",
  to: "same",
  keeps: "values",
  options: none,
  statistics: {},
  run({ graph, rewrite }) {
    for (const op of graph.opsOf("add")) {
      rewrite.patch(op, "on purpose", (edit) => edit.setInput(op, 1, edit.constant("one.more", f32([1], [2]))));
    }
  },
});

export const annotate = definePass({
  name: "annotate",
  summary: "To level annotated",
  from: "float",
  to: "annotated",
  keeps: "bit-exact",
  options: z.object({ bits: z.number().int().default(8) }).strict(),
  statistics: {},
  run({ graph, rewrite, options }) {
    for (const op of graph.opsOf("relu")) rewrite.annotate(op, "quant", { bits: options.bits }, "asked for");
  },
});

export const materialize = definePass({
  name: "materialize",
  summary: "To level quantized",
  from: "annotated",
  to: "quantized",
  keeps: "lossy",
  options: none,
  statistics: {},
  run({ graph, rewrite }) {
    for (const op of graph.opsOf("relu")) rewrite.annotate(op, "quant", undefined, "done");
  },
});

export const throws = definePass({
  name: "throws",
  summary: "Fails",
  from: "float",
  to: "same",
  keeps: "bit-exact",
  options: z.object({ how: z.string().default("x") }).strict(),
  statistics: {},
  run({ options }) {
    throw new Error(`broken ${options.how}`);
  },
});

/** Leaves a value that is used before it is made. */
export const breaks = definePass({
  name: "breaks",
  summary: "Breaks the graph",
  from: "float",
  to: "same",
  keeps: "bit-exact",
  options: none,
  statistics: {},
  run({ graph, rewrite }) {
    const last = graph.ops.at(-1)!;
    rewrite.patch(graph.ops[0]!, "on purpose", (edit) => edit.setInput(graph.opsOf("relu")[0]!, 0, last.outputs[0] as Value));
  },
});
