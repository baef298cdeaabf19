import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  fail,
  fromNumbers,
  type Graph,
  type Op,
  type Tensor,
  tensorType,
  type Value,
} from "../../compiler/core/index.js";
import { gradientName, LOSS_SCALE, nextName } from "./autodiff.js";
import { stepInput } from "./sample-dropout.js";

export const optimizerOptions = {
  kind: z.enum(["sgd", "adam", "adamw"]).default("sgd").describe("SGD with momentum, Adam, or AdamW (weight decay apart from the gradient)"),
  momentum: z.number().min(0).max(1).default(0.9).describe("sgd: how much of the velocity is kept"),
  nesterov: z.boolean().default(false).describe("sgd: look ahead by the momentum (Nesterov)"),
  beta1: z.number().min(0).max(1).default(0.9).describe("adam: how much of the first moment is kept"),
  beta2: z.number().min(0).max(1).default(0.999).describe("adam: how much of the second moment is kept"),
  epsilon: z.number().positive().default(1e-8).describe("adam: added to the root of the second moment"),
  weight_decay: z.number().min(0).default(0).describe("pull to 0"),
  decay: z
    .enum(["all", "matrices"])
    .default("all")
    .describe("parameters that weight_decay acts on: `matrices` leaves biases and scales of normalizations out"),
  scale_growth: z.number().int().min(1).default(2000).describe("loss scaling: steps without overflow after which the scale doubles"),
  clip_norm: z.number().positive().optional().describe("largest norm of all gradients together; longer ones are scaled down"),
} as const;

/** A loss scale stays within these: below, gradients that overflow do so at any; above, the scaled loss itself comes near the end of f32. */
export const LOSS_SCALES = [2 ** -24, 2 ** 64] as const;
/** Steps since the loss scale last changed. */
export const GOOD_STEPS = "loss_scale.good_steps";

/**
 * Turns a graph with gradients into one that steps: each parameter becomes a graph input with its next value as output `NAME.next`, and so do velocities or moments
 * and the running statistics of batch normalization. Further inputs are `learning_rate` and, for Adam, `step` (from 1); a further output is `gradient_norm`. Where
 * that norm is not finite, parameters, velocities and moments stay as they are.
 *
 * Where the loss was scaled (`autodiff { scaled: true }`), gradients are divided by the scale, which is state too: halved where the norm is not finite, doubled after
 * `scale_growth` good steps (Micikevicius et al. 2018, section 3.2).
 */
export const applyOptimizer = definePass({
  name: "apply-optimizer",
  summary: "Append the optimizer's step: parameters become state",
  from: "float",
  to: "same",
  keeps: "values",
  options: z.object(optimizerOptions).strict(),
  positional: ["kind"],
  statistics: { parameters: "parameters that step", states: "further states" },
  run({ graph, options, rewrite, count }) {
    const parameters = graph.constants().flatMap((op) => {
      const value = op.outputs[0] as Value;
      const gradient = graph.outputs.find((o) => o.name === gradientName(value.name))?.value;
      return gradient === undefined ? [] : [{ value, gradient }];
    });
    if (parameters.length === 0) fail("CEC4014", { message: "the graph holds no gradients", help: "put `autodiff` before" });
    rewrite.patch(null, "running statistics are state", (edit) => {
      for (const { name } of graph.outputs) {
        const running = name.endsWith(".next") ? graph.value(name.slice(0, -".next".length)) : undefined;
        if (running?.producer?.kind !== "constant") continue;
        asInput(edit, running);
        count("states");
      }
    });
    rewrite.patch(null, `${options.kind} on ${parameters.length} parameters`, (edit) => {
      const v = (kind: string, inputs: readonly (Value | null)[], attrs: Op["attrs"] = {}): Value =>
        edit.insert(kind, inputs, { attrs, name: "optimizer" }).outputs[0] as Value;
      const scalar = (x: number): Value => edit.constant("optimizer.c", fromNumbers("f32", [], [x]));
      const rate = edit.addInput("learning_rate", tensorType("f32", []));
      const step = options.kind === "sgd" ? null : stepInput(graph, edit);
      const squares = parameters.map((p) => v("reduce_sum_square", [p.gradient], { keepdims: 0 }));
      const total = v("sqrt", [squares.length === 1 ? (squares[0] as Value) : v("sum", squares)]);
      const lossScale = graph.inputs.find((i) => i.name === LOSS_SCALE);
      const norm = lossScale === undefined ? total : v("div", [total, lossScale]);
      edit.addOutput("gradient_norm", norm);
      // 1, or NaN where the norm is not finite, which makes the step leave everything as it is.
      const finite = v("add", [v("sub", [norm, norm]), scalar(1)]);
      const clipped =
        options.clip_norm === undefined
          ? finite
          : v("mul", [finite, v("min", [scalar(1), v("div", [scalar(options.clip_norm), v("add", [norm, scalar(1e-6)])])])]);
      const scale = lossScale === undefined ? clipped : v("div", [clipped, lossScale]);
      if (lossScale !== undefined) {
        const good = edit.addInput(GOOD_STEPS, tensorType("f32", []));
        const more = v("add", [good, scalar(1)]);
        // NaN equals nothing.
        const fits = v("equal", [finite, scalar(1)]);
        const grows = v("greater_or_equal", [more, scalar(options.scale_growth)]);
        const kept = v("where", [grows, v("min", [v("mul", [lossScale, scalar(2)]), scalar(LOSS_SCALES[1])]), lossScale]);
        edit.addOutput(nextName(LOSS_SCALE), v("where", [fits, kept, v("mul", [lossScale, scalar(0.5)])]));
        edit.addOutput(nextName(GOOD_STEPS), v("where", [v("and", [fits, v("not", [grows])]), more, scalar(0)]));
        count("states", 2);
      }
      for (const { value, gradient } of parameters) {
        const parameter = asInput(edit, value);
        const state = (suffix: string): Value => {
          count("states");
          return edit.addInput(`${parameter.name}.${suffix}`, value.type);
        };
        const matrix = value.type.kind === "tensor" && (value.type.shape?.length ?? 0) > 1;
        const decay = options.weight_decay > 0 && (options.decay === "all" || matrix) ? { weight_decay: options.weight_decay } : {};
        const held = options.kind === "sgd" ? [state("velocity")] : [state("first_moment"), state("second_moment")];
        const made =
          options.kind === "sgd"
            ? edit.insert("train.sgd", [parameter, gradient, ...held, rate, scale], {
                attrs: { momentum: options.momentum, ...(options.nesterov ? { nesterov: 1 } : {}), ...decay },
                outputs: 2,
                name: parameter.name,
              })
            : edit.insert("train.adam", [parameter, gradient, ...held, rate, step, scale], {
                attrs: {
                  beta1: options.beta1,
                  beta2: options.beta2,
                  epsilon: options.epsilon,
                  ...decay,
                  ...(options.kind === "adamw" ? { decoupled: 1 } : {}),
                },
                outputs: 3,
                name: parameter.name,
              });
        edit.removeOutput(gradientName(parameter.name));
        [parameter, ...held].forEach((s, i) => {
          edit.addOutput(nextName(s.name), made.outputs[i] as Value);
        });
        count("parameters");
      }
    });
  },
});

/** A graph input in the place of a constant, of its name. */
function asInput(edit: Edit, constant: Value): Value {
  const input = edit.addInput(constant.name, constant.type);
  edit.replaceAllUses(constant, input);
  edit.eraseDead(constant.producer as Op);
  return input;
}

/** States of a graph: inputs whose next value is an output. */
export function statesOf(graph: Graph): readonly { readonly input: string; readonly output: string; readonly value: Value }[] {
  const outputs = new Set(graph.outputs.map((o) => o.name));
  return graph.inputs.flatMap((value) => (outputs.has(nextName(value.name)) ? [{ input: value.name, output: nextName(value.name), value }] : []));
}

/** Constants whose values training starts from: those that `apply-optimizer` will turn into state. Their elements are read when they are asked for. */
export function initialStates(graph: Graph): readonly { readonly name: string; readonly tensor: Tensor }[] {
  const outputs = new Set(graph.outputs.map((o) => o.name));
  return graph.constants().flatMap((op) => {
    const v = op.outputs[0] as Value;
    if (v.type.kind !== "tensor" || !(outputs.has(gradientName(v.name)) || outputs.has(nextName(v.name)))) return [];
    const { elem, shape } = v.type;
    const tensor = {
      type: elem,
      dims: shape as readonly number[],
      get data() {
        return (constantTensor(v) as Tensor).data;
      },
    };
    return [{ name: v.name, tensor }];
  });
}
