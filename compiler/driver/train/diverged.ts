/** The end of a training whose loss left all bounds: the message with the step, the tensor and the op. */
import { statesOf } from "../../../passes/index.js";
import { fail, type Graph, type Tensor } from "../../core/index.js";
import type { compileTraining } from "./compile.js";

/** The op that gives a tensor, and the place in the model's text that it is from. */
function givenBy(graph: Graph, tensor: string): string {
  const op = graph.value(tensor)?.producer;
  if (op == null) return graph.inputs.some((v) => v.name === tensor) ? ", an input or a state of the step" : "";
  const place = op.loc === undefined ? "" : ` (${op.loc.file}:${op.loc.line}:${op.loc.column})`;
  return `, given by ${op.kind}${op.name === "" ? "" : ` "${op.name}"`}${place}`;
}

/** Activations of the model in a training graph: what the ops before the loss make of the batch. */
function activationsOf(graph: Graph): string[] {
  const states = new Set(statesOf(graph).map((s) => s.input));
  const ofBatch = new Set<unknown>(graph.inputs.filter((v) => !states.has(v.name)));
  const names: string[] = [];
  for (const op of graph.ops) {
    if (op.kind !== "constant" && op.name === "loss") break;
    if (!op.inputs.some((v) => ofBatch.has(v))) continue;
    for (const v of op.outputs) {
      ofBatch.add(v);
      names.push(v.name);
    }
  }
  return names;
}

/** Ends the training: CEC4017 with what left all bounds, and the first tensor that is not finite or the greatest one, of a step on these feeds. */
export async function diverged(
  session: Awaited<ReturnType<typeof compileTraining>>["session"],
  lowered: Graph,
  feeds: Record<string, Tensor>,
  step: number,
  loss: number,
  norm: number,
  saved: boolean,
): Promise<never> {
  const first = Number.isFinite(loss) && Number.isFinite(norm) ? null : await session.firstNonFinite(feeds);
  const most = first === null ? await session.greatest(feeds, activationsOf(lowered)) : null;
  const why =
    first !== null
      ? `the first tensor that is not finite is "${first}"${givenBy(lowered, first)}`
      : most === null
        ? null
        : `the greatest values are now in "${most.name}", up to ${Number(most.magnitude.toPrecision(2))}${givenBy(lowered, most.name)}`;
  const what = Number.isFinite(loss)
    ? Number.isFinite(norm)
      ? `the loss grew to ${loss.toPrecision(3)}`
      : "the gradients are not finite"
    : `the loss is ${loss}`;
  throw fail("CEC4017", {
    message: `training diverged at step ${step + 1}: ${what}`,
    ...(why === null ? {} : { why }),
    help: `use a smaller \`rate\`, a \`warmup\` or \`clip_norm\`${saved ? "; the last checkpoint is kept" : ""}`,
    ...(first === null ? {} : { at: { tensor: first } }),
  });
}
