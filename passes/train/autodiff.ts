import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  elementCount,
  fail,
  fromNumbers,
  type Graph,
  num,
  type Op,
  suggest,
  tensorType,
  type Value,
} from "../../compiler/core/index.js";
import { emitter, type GradientContext, rejectGradient, sumTo, typeOf } from "./gradients/context.js";
import { gradientOf } from "./gradients/index.js";
import { frozenConstants, parametersOf } from "./parameters.js";

/** Name of the input that the loss is multiplied by. */
export const LOSS_SCALE = "loss_scale";
/** Name of the output that holds the gradient of a parameter. */
export const gradientName = (parameter: string): string => `grad.${parameter}`;
/** Name of the output that holds the next value of a state: a parameter, a velocity, a running mean. */
export const nextName = (state: string): string => `${state}.next`;

/**
 * Reverse-mode differentiation (Griewank, Walther 2008, chapter 3): appends to a forward graph the ops that compute the gradient of its loss with respect to
 * each parameter, one output `grad.NAME` each. Values that several ops read get the sum of their gradients, operands that were broadcast the sum over what was
 * repeated. Batch normalization by batch statistics becomes `train.batch_norm`, with outputs for its next running statistics.
 *
 * Recurrent ops must be unrolled before (`unroll_recurrent`). Put it before `canonicalize`, which merges parameters that are equal at the start.
 */
export const autodiff = definePass({
  name: "autodiff",
  summary: "Append the gradients of a loss: a forward graph becomes a training graph",
  from: "float",
  to: "same",
  // Batch normalization goes over to the statistics of the batch.
  keeps: "lossy",
  options: z
    .object({
      loss: z.string().default("loss").describe("output with a single element that is to become small"),
      parameters: z.array(z.string()).optional().describe("names of the constants to train, `*` stands for any text; default: all weights"),
      scaled: z
        .boolean()
        .default(false)
        .describe("an input `loss_scale` multiplies the loss before its gradient is taken; `apply_optimizer` divides by it again"),
      frozen: z
        .array(z.string())
        .default([])
        .describe("names of constants that stay as they are, their batch normalization included; `*` stands for any text"),
      batch_norm: z
        .enum(["batch", "frozen"])
        .default("frozen")
        .describe("`batch`: normalize by batch statistics and update the running ones; `frozen`: use the running ones as they are"),
    })
    .strict(),
  positional: ["loss"],
  statistics: { parameters: "constants with a gradient", differentiated: "ops that gradients flow through", emitted: "ops appended" },
  run({ graph, options, rewrite, count, decide }) {
    const loss = lossOf(graph, options.loss);
    const frozen = frozenConstants(graph, options.frozen);
    for (const op of graph.opsOf("batch_normalization")) {
      const stays = op.inputs.slice(1).some((v) => v !== null && frozen.has(v));
      if (!stays && (options.batch_norm === "batch" || num(op, "training_mode", 0) === 1))
        rewrite.patch(op, "statistics of the batch", (edit) => expandBatchNorm(graph, edit, op));
    }
    const candidates = parametersOf(graph, options.parameters).map((op) => op.outputs[0] as Value);
    const parameters = candidates.filter((v) => !frozen.has(v));
    const active = activeValues(graph, parameters, loss);
    const gradients = new Map<Value, Value>();
    const forward = [...graph.ops];
    const before = forward.length;
    rewrite.patch(null, `gradient of the loss %${loss.name}`, (edit) => {
      const { elem, shape } = typeOf(loss);
      gradients.set(
        loss,
        options.scaled
          ? edit.addInput(LOSS_SCALE, tensorType(elem, shape))
          : edit.constant(`${loss.name}.seed`, fromNumbers(elem, shape as readonly number[], [1])),
      );
    });
    for (const op of forward.reverse()) {
      if (op.kind === "constant" || !op.outputs.some((v) => gradients.has(v)) || !op.inputs.some((v) => v !== null && active.has(v))) continue;
      const known = gradientOf(op.kind);
      if ("unsupported" in known) rejectGradient(op, known.unsupported);
      if ("none" in known) {
        decide(op, "stopped", known.none);
        continue;
      }
      if (op.regions.length > 0) rejectGradient(op, "it has a body");
      rewrite.patch(null, `gradient of ${op.kind} "${op.name}"`, (edit) => known.rule(contextOf(edit, op, gradients, active)));
      count("differentiated");
    }
    const reached = parameters.filter((p) => gradients.has(p));
    for (const p of parameters) if (!gradients.has(p)) decide(p.producer as Op, "left alone", "the loss does not depend on it");
    if (reached.length === 0)
      fail("CEC4014", {
        message: parameters.length === 0 && candidates.length > 0 ? "every parameter is frozen" : `no parameter reaches the loss "${options.loss}"`,
        help:
          parameters.length < candidates.length
            ? "let `frozen` match fewer names: `cec inspect` lists the model's tensors"
            : options.parameters === undefined
              ? "give the model weights"
              : "let `parameters` name weights that the first output depends on: `cec inspect` lists the model's tensors",
      });
    rewrite.patch(null, "gradients of the parameters", (edit) => {
      for (const p of reached) edit.addOutput(gradientName(p.name), gradients.get(p) as Value);
    });
    count("parameters", reached.length);
    count("emitted", graph.ops.length - before);
  },
});

function lossOf(graph: Graph, name: string): Value {
  const output = graph.outputs.find((o) => o.name === name);
  if (output === undefined)
    return fail("CEC4015", {
      message: `the graph has no output "${name}" to take the gradient of`,
      help:
        suggest(
          name,
          graph.outputs.map((o) => o.name),
        ) ?? "put `add_loss` before, or name an output with `loss`",
    });
  const { type } = output.value;
  if (type.kind !== "tensor" || elementCount(type.shape) !== 1)
    return fail("CEC4015", {
      message: `the loss "${name}" must be a single number`,
      help: "average it over the batch",
      at: { tensor: output.value.name },
    });
  return output.value;
}

/** Values that depend on a parameter and that the loss depends on. */
function activeValues(graph: Graph, parameters: readonly Value[], loss: Value): ReadonlySet<Value> {
  const dependent = new Set<Value>(parameters);
  for (const op of graph.ops) if (op.inputs.some((v) => v !== null && dependent.has(v))) for (const v of op.outputs) dependent.add(v);
  const active = new Set<Value>();
  const waiting = [loss];
  for (let v = waiting.pop(); v !== undefined; v = waiting.pop()) {
    if (active.has(v) || !dependent.has(v)) continue;
    active.add(v);
    for (const x of v.producer?.inputs ?? []) if (x !== null) waiting.push(x);
  }
  return active;
}

/** Kinds whose operands are repeated to one shape. */
const broadcasting: ReadonlySet<string> = new Set("add sub mul div pow max min sum mean where prelu gemm layer_normalization".split(" "));

function contextOf(edit: Edit, op: Op, gradients: Map<Value, Value>, active: ReadonlySet<Value>): GradientContext {
  const base = `${op.name || op.outputs[0]?.name}.grad`;
  const emit = emitter(edit, base);
  const reject = (why: string): never => rejectGradient(op, why);
  const fused = new Map<number, Value>();
  return {
    ...emit,
    kind: op,
    reject,
    x: (i) => op.inputs[i] ?? reject(`operand ${i} is absent`),
    y: (i = 0) => op.outputs[i] ?? reject(`result ${i} is absent`),
    dy(i = 0) {
      const y = op.outputs[i];
      const gradient = y === undefined ? undefined : gradients.get(y);
      if (y === undefined || gradient === undefined) return null;
      if (i > 0 || op.attrs["activation"] === undefined || op.kind.startsWith("train.")) return gradient;
      const known = fused.get(i) ?? throughActivation(op, emit, gradient, y);
      fused.set(i, known);
      return known;
    },
    needs: (i) => op.inputs[i] != null && active.has(op.inputs[i] as Value),
    add(i, gradient) {
      const x = op.inputs[i];
      if (x == null || !active.has(x)) return;
      // Other kinds do not broadcast: their rules give what the operand has.
      const flows = broadcasting.has(op.kind) ? sumTo(emit, gradient(), x, reject) : gradient();
      const sum = gradients.get(x);
      gradients.set(x, sum === undefined ? flows : emit.value("add", [sum, flows]));
    },
  };
}

/** The gradient before a fused relu or clip. */
function throughActivation(op: Op, emit: ReturnType<typeof emitter>, dy: Value, y: Value): Value {
  if (op.attrs["activation"] === "relu") return emit.value("train.relu_backward", [dy, y]);
  const bound = (v: number): Value => emit.constant(fromNumbers(typeOf(y).elem, [], [v]));
  const inside = emit.value("and", [
    emit.value("greater", [y, bound(num(op, "clip_min", Number.NEGATIVE_INFINITY))]),
    emit.value("less", [y, bound(num(op, "clip_max", Number.POSITIVE_INFINITY))]),
  ]);
  return emit.value("where", [inside, dy, bound(0)]);
}

/** `batch_normalization` by batch statistics; its four vectors become its own where others read them too (equal constants may have been merged). */
function expandBatchNorm(graph: Graph, edit: Edit, op: Op): void {
  const [x, ...vectors] = op.inputs as readonly Value[];
  const own = vectors.map((v, i) => {
    const t = constantTensor(v);
    if (t === null || graph.onlyUser(v) === op) return v;
    return edit.constant(`${op.name || op.outputs[0]?.name}.${["scale", "bias", "mean", "var"][i]}`, t);
  });
  const { epsilon, momentum } = op.attrs;
  const attrs = { ...(epsilon === undefined ? {} : { epsilon }), ...(momentum === undefined ? {} : { momentum }) };
  const made = edit.insert("train.batch_norm", [x as Value, ...own], { attrs, outputs: 5, name: op.name });
  op.outputs.forEach((y, i) => {
    edit.replaceAllUses(y, made.outputs[i] as Value);
  });
  [2, 3].forEach((i) => {
    const running = own[i] as Value;
    if (running.producer?.kind === "constant") edit.addOutput(nextName(running.name), made.outputs[i - 1] as Value);
  });
  edit.eraseDead(op);
}
