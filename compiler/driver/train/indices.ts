/** Integers of the data that pick a place in the model: labels a class, token ids a row of a table. */
import { fail, type Graph, num, type Value } from "../../core/index.js";
import type { Batch } from "../data/dataset.js";

export interface IndexLimit {
  readonly input: string;
  /** Places; indices count from 0. */
  readonly count: number;
}

/** The integer inputs of a training graph that its ops look up by, with the places there are. */
export function indexLimits(graph: Graph): IndexLimit[] {
  const picked = (v: Value): readonly number[] =>
    graph.users(v).flatMap((op) => {
      if (op.inputs[0] === v && ["cast", "unsqueeze", "reshape"].includes(op.kind)) return picked(op.outputs[0] as Value);
      if (op.inputs[1] !== v || (op.kind !== "gather" && op.kind !== "gather_elements")) return [];
      const table = op.inputs[0]?.type;
      const size = table?.kind === "tensor" ? table.shape?.at(num(op, "axis", 0)) : undefined;
      return typeof size === "number" ? [size] : [];
    });
  return graph.inputs.flatMap((v) => {
    const counts = v.type.kind === "tensor" && v.type.elem.startsWith("i") ? picked(v) : [];
    return counts.length === 0 ? [] : [{ input: v.name, count: Math.min(...counts) }];
  });
}

/**
 * Checks the arrays of one sample. An array without a name belongs to the only input of the model.
 * @throws CecError CEC5003 for a label, CEC5005 for another index that picks nothing
 */
export function checkIndices(limits: readonly IndexLimit[], { arrays, labels }: Batch, set: string, sample: number): void {
  for (const { input, count } of limits) {
    const ofLabels = input === "labels";
    const values = (arrays[input]?.data ?? (ofLabels ? labels : arrays[""]?.data) ?? []) as ArrayLike<number | bigint>;
    for (let i = 0; i < values.length; i++) {
      const v = Number(values[i]);
      if (Number.isInteger(v) && v >= 0 && v < count) continue;
      const range = `whole numbers from 0 to ${count - 1}`;
      if (ofLabels)
        fail("CEC5003", {
          message: `sample ${sample} of data set ${set} has the label ${v}`,
          why: `the model has ${count} classes: labels are ${range}`,
          help: "correct the labels, or give the model an output for each class",
        });
      fail("CEC5005", {
        message: `sample ${sample} of data set ${set} has the index ${v} for input "${input}"`,
        why: `the model looks it up in a table of ${count} places: indices are ${range}`,
        help: "correct the data, or enlarge the table",
      });
    }
  }
}
