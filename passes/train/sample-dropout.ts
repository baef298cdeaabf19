import { z } from "zod";
import { constantTensor, definePass, type Edit, type Graph, type Op, tensorType, toNumbers, type Value } from "../../compiler/core/index.js";

/** Name of the input that counts steps, from 1. */
export const STEP = "step";

/** The input that counts steps. */
export const stepInput = (graph: Graph, edit: Edit): Value => graph.inputs.find((v) => v.name === STEP) ?? edit.addInput(STEP, tensorType("f32", []));

/** Part that a dropout op drops; `null` where it is not a constant. ONNX's default is one half. */
function ratioOf(op: Op): number | null {
  if (op.inputs[1] == null) return 0.5;
  const t = constantTensor(op.inputs[1]);
  return t === null ? null : (toNumbers(t)[0] as number);
}

/** Whether a dropout op is there to drop something. */
export const drops = (op: Op): boolean => ratioOf(op) !== 0;

/** Why a dropout op does nothing while training; `null` where it drops. */
function obstacle(graph: Graph, op: Op): string | null {
  const ratio = ratioOf(op);
  if (ratio === null) return "its ratio is computed";
  if (!(ratio > 0 && ratio < 1)) return `its ratio is ${ratio}`;
  return op.outputs.slice(1).some((v) => graph.isUsed(v)) ? "its mask is read" : null;
}

/** Dropout ops that are left as in inference though they were to drop something. */
export const withoutMasks = (graph: Graph): readonly { readonly op: Op; readonly why: string }[] =>
  graph.opsOf("dropout").flatMap((op) => {
    const why = drops(op) ? obstacle(graph, op) : null;
    return why === null ? [] : [{ op, why }];
  });

/**
 * Makes dropout drop: in a graph that is to be trained, `dropout` becomes `train.dropout`, whose mask is drawn from the seed, the op's place and the step (a further
 * input `step`). Put it before `autodiff`.
 */
export const sampleDropout = definePass({
  name: "sample-dropout",
  summary: "Draw the masks of dropout, from a seed and the step",
  from: "float",
  to: "same",
  keeps: "lossy",
  options: z.object({}).strict(),
  statistics: { sampled: "dropout ops that drop" },
  run({ graph, rewrite, random, count, decide }) {
    for (const op of graph.opsOf("dropout")) {
      const why = obstacle(graph, op);
      if (why !== null) {
        decide(op, "left alone", why);
        continue;
      }
      const attrs = { ratio: ratioOf(op) as number, seed: Math.floor(random() * 2 ** 31) };
      rewrite.patch(op, `drops ${attrs.ratio}`, (edit) => {
        const made = edit.insert("train.dropout", [op.inputs[0] as Value, stepInput(graph, edit)], { attrs, name: op.name });
        edit.replaceAllUses(op.outputs[0] as Value, made.outputs[0] as Value);
        edit.eraseDead(op);
      });
      count("sampled");
    }
  },
});
