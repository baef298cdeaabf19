/** A teacher beside its student: made ready for inference, and joined to the student's graph. */
import {
  type CalibrationSource,
  callOf,
  type Executor,
  fail,
  type Graph,
  inferOp,
  type PassCall,
  runPipeline,
  suggest,
  type Value,
} from "../../compiler/core/index.js";
import { canonicalize, foldBatchNorm, fuse } from "../canonicalize/index.js";
import { quantize } from "../quantize/index.js";
import { logitsOf } from "./losses.js";

/** A tensor by its name, or by that of the op that gives it. Throws CEC4019. */
export function namedValue(graph: Graph, name: string, whose: string): Value {
  const found = graph.value(name) ?? graph.ops.find((op) => op.name === name)?.outputs[0];
  if (found !== undefined) return found;
  const names = graph.ops.flatMap((op) => (op.kind === "constant" ? [] : [op.name, ...op.outputs.map((v) => v.name)]));
  return fail("CEC4019", { message: `the ${whose} has no tensor or op "${name}"`, help: suggest(name, new Set(names.filter((n) => n !== ""))) });
}

/** What makes a graph cheap to run: normalizations folded, fusions, and INT8 where it is wanted. */
const forInference = (precision: "f32" | "int8"): PassCall[] => [
  callOf(canonicalize),
  callOf(foldBatchNorm),
  callOf(canonicalize),
  callOf(fuse, precision === "f32" ? { residual: true } : {}),
  ...(precision === "int8" ? [callOf(quantize, { mode: "int8", recipe: "fast" })] : []),
];

/** Outputs of a prepared teacher: its logits, and the tensors that were asked for, in their order. */
export const LOGITS = "logits";
export const hiddenName = (i: number): string => `hidden.${i}`;

/** Makes a teacher one that gives the output `logits` and one `hidden.N` for each name of `hidden`, at its cheapest. */
export async function prepareTeacher(
  graph: Graph,
  student: Graph,
  o: { readonly output: string | undefined; readonly hidden: readonly string[]; readonly precision: "f32" | "int8" },
  run: { readonly executor: Executor | null; readonly calibration: CalibrationSource | null; readonly signal: AbortSignal | null },
): Promise<void> {
  const outputs = graph.outputs.map((out) => out.name);
  const output = o.output === undefined ? graph.outputs[0] : graph.outputs.find((out) => out.name === o.output);
  if (output === undefined) fail("CEC4019", { message: `the teacher has no output "${o.output ?? ""}"`, help: suggest(o.output ?? "", outputs) });
  const kept = [logitsOf((output as { value: Value }).value), ...o.hidden.map((name) => namedValue(graph, name, "teacher"))];
  for (const name of outputs) graph.removeOutput(name);
  kept.forEach((v, i) => {
    graph.addOutput(i === 0 ? LOGITS : hiddenName(i - 1), v);
  });
  for (const op of graph.opsOf("dropout")) graph.replaceAllUses(op.outputs[0] as Value, op.inputs[0] as Value);
  // Calibration speaks of the student's inputs.
  inputPairs(graph, student).forEach(([own, theirs]) => {
    graph.rename(own, theirs.name);
  });
  await runPipeline(graph, forInference(o.precision), run);
}

/** Inputs of the teacher with those of the student that they read: of the same name, or at the same place. Throws CEC4019 where they do not fit. */
function inputPairs(teacher: Graph, student: Graph): readonly (readonly [Value, Value])[] {
  const byName = teacher.inputs.every((v) => student.inputs.some((s) => s.name === v.name));
  return teacher.inputs.map((own, i) => {
    const theirs = byName ? student.inputs.find((s) => s.name === own.name) : student.inputs[i];
    const [a, b] = [own.type, theirs?.type];
    const fits =
      a.kind === "tensor" &&
      b?.kind === "tensor" &&
      a.elem === b.elem &&
      (a.shape === null ||
        b.shape === null ||
        // The first axis is the batch.
        (a.shape.length === b.shape.length &&
          a.shape.every((d, axis) => axis === 0 || typeof d !== "number" || typeof b.shape?.[axis] !== "number" || d === b.shape[axis])));
    if (theirs === undefined || !fits)
      return fail("CEC4019", {
        message: `input "${own.name}" of the teacher takes what the student does not`,
        why: `the teacher takes ${described(teacher)}, the student ${described(student)}`,
        help: "teacher and student read the same samples: give both the same inputs",
      });
    return [own, theirs] as const;
  });
}

const described = (g: Graph): string =>
  g.inputs.map((v) => `${v.name}${v.type.kind === "tensor" ? ` [${v.type.shape?.join(", ") ?? "?"}]` : ""}`).join(", ") || "nothing";

/**
 * Appends a prepared teacher to a graph with the same inputs; names get a prefix. Types are inferred anew: the student's batch is the teacher's.
 * @returns the teacher's outputs by name
 */
export function joinTeacher(student: Graph, teacher: Graph, prefix: string): ReadonlyMap<string, Value> {
  const joined = new Map<Value, Value>(teacher.inputs.map((v) => [v, student.inputs.find((s) => s.name === v.name) as Value]));
  for (const op of teacher.ops) {
    const made = student.addOp({
      ...op,
      name: op.name === "" ? "" : `${prefix}${op.name}`,
      inputs: op.inputs.map((v) => (v === null ? null : (joined.get(v) as Value))),
      types: op.outputs.map((v) => (op.kind === "constant" ? v.type : ({ kind: "unknown" } as Value["type"]))),
      outputNames: op.outputs.map((v) => `${prefix}${v.name}`),
      regions: op.regions.map((r) => r.clone()),
    });
    if (op.kind !== "constant") inferOp(student, made);
    op.outputs.forEach((v, i) => {
      joined.set(v, made.outputs[i] as Value);
    });
  }
  return new Map(teacher.outputs.map((o) => [o.name, joined.get(o.value) as Value]));
}

/** The start of names that none of the graph's has. */
export function freePrefix(graph: Graph, wanted: string): string {
  const names = [...graph.inputs, ...graph.ops.flatMap((op) => op.outputs)].map((v) => v.name);
  let prefix = `${wanted}.`;
  while (names.some((n) => n.startsWith(prefix))) prefix = `_${prefix}`;
  return prefix;
}
