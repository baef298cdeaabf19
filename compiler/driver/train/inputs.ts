/** What a step is fed: data held against the training graph before the first step, batches as tensors of its inputs. */
import { statesOf } from "../../../passes/index.js";
import { type Dim, fail, fromNumbers, type Graph, type Tensor, toNumbers } from "../../core/index.js";
import type { Dataset } from "../data/index.js";
import type { TrainingBatch } from "./loader.js";

/** Inputs of the model itself. */
export function dataInputs(graph: Graph): readonly { readonly name: string; readonly elem: Tensor["type"] }[] {
  const states = new Set(statesOf(graph).map((s) => s.input));
  return graph.inputs.flatMap((v) =>
    states.has(v.name) || ["learning_rate", "step", "progress"].includes(v.name) || v.type.kind !== "tensor"
      ? []
      : [{ name: v.name, elem: v.type.elem }],
  );
}

/** Before the first step: labels where the loss takes them, and an array of its shape for each input. Throws CEC5003, CEC5005. */
export function checkData(graph: Graph, data: Dataset): void {
  const names = Object.keys(data.shapes);
  if (!data.hasLabels && graph.inputs.some((v) => v.name === "labels") && !names.includes("labels"))
    fail("CEC5003", {
      message: `data set ${data.name} has no labels`,
      help: "cross-entropy needs class labels; `loss: mse` needs an array named `target`",
    });
  checkArrays(graph, data, (name) => name !== "labels" || names.includes("labels"));
}

/** The same of what `validate` names, not at the first measurement. Throws CEC5002, CEC5003, CEC5005. */
export function checkValidation(graph: Graph, data: Dataset): void {
  if (data.size === 0) fail("CEC5002", { message: `data set ${data.name}, of \`validate\`, is empty` });
  if (!data.hasLabels)
    fail("CEC5003", { message: `data set ${data.name} has no labels to measure top1 with`, help: "name one with labels, or leave `validate` out" });
  checkArrays(graph, data, (name) => name !== "labels" && name !== "target");
}

/** Each input of these names has an array of its shape. */
function checkArrays(graph: Graph, data: Dataset, wanted: (name: string) => boolean): void {
  const names = Object.keys(data.shapes);
  for (const { name } of dataInputs(graph).filter((i) => wanted(i.name))) {
    const shape = data.shapes[name] ?? (names.length === 1 && names[0] === "" ? data.shapes[""] : undefined);
    const type = graph.value(name)?.type;
    const want = type?.kind === "tensor" ? (type.shape ?? []).slice(1) : [];
    const fits = (d: Dim, i: number): boolean => typeof d !== "number" || d === shape?.[i];
    if (shape !== undefined && want.length === shape.length && want.every(fits)) continue;
    if (name === "target" && !names.includes(name))
      fail("CEC5005", {
        message: `data set ${data.name} has no array "target"`,
        why: `\`loss: mse\` compares with one of [${want.join(", ")}] a sample`,
        help: data.hasLabels ? "leave `loss` out: labels train with cross-entropy" : "put it into the .npz file, beside the inputs",
      });
    fail("CEC5005", {
      message: `data set ${data.name} does not fit input "${name}"`,
      why: `the input takes samples of [${want.join(", ")}], the data has ${names.map((n) => `${n || "one array"} [${data.shapes[n]?.join(", ")}]`).join("; ")}`,
      help: "check resize, crop and layout in the data block",
    });
  }
}

/** Tensors of one step: the batch, the rate, the step from 1, and the share of the training that is done. */
export function feedsOf(b: TrainingBatch, inputs: ReturnType<typeof dataInputs>, rate: number, step: number, total: number): Record<string, Tensor> {
  const scalar = (v: number): Tensor => fromNumbers("f32", [], [v]);
  const feeds: Record<string, Tensor> = { learning_rate: scalar(rate), step: scalar(step + 1), progress: scalar(step / total) };
  for (const { name, elem } of inputs) {
    const t =
      b.arrays[name] ??
      (name === "labels" && b.labels !== null ? { type: "i64" as const, dims: [b.labels.length], data: b.labels } : (b.arrays[""] as Tensor));
    feeds[name] = t.type === elem ? t : fromNumbers(elem, t.dims, toNumbers(t));
  }
  return feeds;
}
