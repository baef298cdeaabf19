/** Losses as ops appended to a graph. Each is one number, the mean over the batch. */
import { type Edit, type ElementType, fail, fromNumbers, i64, type Op, type Shape, tensorType, type Value } from "../../compiler/core/index.js";

type Emit = (kind: string, inputs: readonly (Value | null)[], attrs?: Op["attrs"]) => Value;

/** Inserts ops named `loss`. */
export const emitLoss =
  (edit: Edit): Emit =>
  (kind, inputs, attrs = {}) =>
    edit.insert(kind, inputs, { attrs, name: "loss" }).outputs[0] as Value;

export const elementOf = (v: Value): ElementType => (v.type.kind === "tensor" ? v.type.elem : "f32");

/** The shape of what a loss compares. Throws CEC4015 where it is not known. */
export const knownShape = (v: Value, name: string): Shape =>
  v.type.kind === "tensor" && v.type.shape !== null
    ? v.type.shape
    : fail("CEC4015", { message: `the shape of "${name}" is not known`, help: "give the model's inputs shapes", at: { tensor: v.name } });

/** What stands before a softmax at the end of a model: losses take logits. */
export const logitsOf = (v: Value): Value => (v.producer?.kind === "softmax" ? (v.producer.inputs[0] as Value) : v);

const scaled = (edit: Edit, x: Value, by: number): Value =>
  emitLoss(edit)("mul", [x, edit.constant("loss.factor", fromNumbers(elementOf(x), [], [by]))]);

/**
 * Cross-entropy of logits [N, …, classes] with labels [N, …], an input that is added. Smoothing: Szegedy et al. 2016, section 7.
 * @returns also the number of samples whose greatest logit is the label
 */
export function crossEntropy(edit: Edit, logits: Value, smoothing: number): { readonly loss: Value; readonly correct: Value } {
  const shape = knownShape(logits, logits.name);
  if (shape.length < 2 || typeof shape.at(-1) !== "number")
    fail("CEC4015", { message: `logits must be [N, …, classes], %${logits.name} is [${shape.join(", ")}]`, at: { tensor: logits.name } });
  const v = emitLoss(edit);
  const labels = edit.addInput("labels", tensorType("i64", shape.slice(0, -1)));
  const wanted = v("unsqueeze", [labels, edit.constant("loss.axis", i64([-1]))]);
  const log = v("log_softmax", [logits], { axis: -1 });
  const picked = v("reduce_mean", [v("gather_elements", [log, wanted], { axis: -1 })], { keepdims: 0 });
  const loss =
    smoothing === 0
      ? v("neg", [picked])
      : v("add", [scaled(edit, picked, smoothing - 1), scaled(edit, v("reduce_mean", [log], { keepdims: 0 }), -smoothing)]);
  const right = v("equal", [v("arg_max", [logits], { axis: -1, keepdims: 1 }), wanted]);
  return { loss, correct: v("reduce_sum", [v("cast", [right], { to: "f32" })], { keepdims: 0 }) };
}

/** Mean squared difference over all elements. */
export function meanSquare(edit: Edit, a: Value, b: Value): Value {
  const v = emitLoss(edit);
  const difference = v("sub", [a, b]);
  return v("reduce_mean", [v("mul", [difference, difference])], { keepdims: 0 });
}

/**
 * T² KL(teacher ‖ student) of the distributions softmax(logits / T), classes on the last axis. The factor keeps gradients of one size over all temperatures
 * (Hinton et al. 2015, section 2).
 */
export function divergence(edit: Edit, student: Value, teacher: Value, temperature: number): Value {
  const v = emitLoss(edit);
  const log = (logits: Value): Value => v("log_softmax", [temperature === 1 ? logits : scaled(edit, logits, 1 / temperature)], { axis: -1 });
  const [s, t] = [log(student), log(teacher)];
  const each = v("mul", [v("exp", [t]), v("sub", [t, s])]);
  const perSample = v("reduce_sum", [each, edit.constant("loss.axis", i64([-1]))], { keepdims: 0 });
  return scaled(edit, v("reduce_mean", [perSample], { keepdims: 0 }), temperature ** 2);
}

/** Sum of losses by their weights; those of weight 0 are not computed. */
export function weightedSum(edit: Edit, terms: readonly { readonly weight: number; loss(): Value }[]): Value {
  const counted = terms.filter((t) => t.weight !== 0).map((t) => (t.weight === 1 ? t.loss() : scaled(edit, t.loss(), t.weight)));
  return counted.reduce((sum, term) => emitLoss(edit)("add", [sum, term]));
}
