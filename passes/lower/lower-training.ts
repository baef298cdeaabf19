import { z } from "zod";
import {
  type Attrs,
  constantTensor,
  definePass,
  type Edit,
  fail,
  i64,
  isStatic,
  num,
  type Op,
  type Shape,
  type Value,
} from "../../compiler/core/index.js";
import { shapeOf } from "../canonicalize/match.js";
import { fusedAttrs } from "./fused-attrs.js";
import { channelsFirst, channelsLast } from "./layout.js";
import { transposedWindowAttrs, windowAttrs } from "./window-attrs.js";

const isF32 = (v: Value | null | undefined): boolean => v?.type.kind === "tensor" && v.type.elem === "f32";
const isComputed = (v: Value | null | undefined): boolean => v != null && constantTensor(v) === null;

/**
 * Maps what training graphs hold and inference graphs hardly do to the engine's channels-last kernels: convolutions whose weights are computed (state, to the
 * engine), their gradients, and the ops of `train.*` on images. One spatial axis runs as two, the first of size 1; for three there are no kernels of training.
 * Throws CEC4013 for `train.*` on those.
 */
export const lowerTraining = definePass({
  name: "lower-training",
  summary: "Map convolutions with computed weights, and training ops on images, to the engine's kernels",
  from: "lowered",
  to: "same",
  keeps: "values",
  options: z.object({}).strict(),
  statistics: { lowered: "ops mapped" },
  run({ graph, rewrite, count, decide }) {
    const lower: Readonly<Record<string, (op: Op) => string | null>> = {
      conv,
      conv_transpose: convTranspose,
      "train.conv_backward_weights": convBackwardWeights,
      "train.max_pool_backward": trainingOp,
      "train.batch_norm": trainingOp,
      "train.batch_norm_backward": trainingOp,
    };
    for (const op of [...graph.ops]) {
      const rule = lower[op.kind];
      if (rule === undefined || !isF32(op.inputs[0]) || op.attrs["channels_last"] === 1) continue;
      if (op.kind.startsWith("conv") && !isComputed(op.inputs[1]) && !isComputed(op.inputs[2])) continue;
      if ((shapeOf(op.inputs[image(op)])?.length ?? 0) > 4 && op.kind.startsWith("train.")) rejectSpatial(op);
      const reason = rule(widened(op));
      if (reason === null) count("lowered");
      else decide(op, "plain form", reason);
    }

    /** The op with a spatial axis of size 1 before the only one that it has. */
    function widened(op: Op): Op {
      if (shapeOf(op.inputs[image(op)])?.length !== 3) return op;
      let made = op;
      rewrite.patch(op, "one spatial axis runs as two", (edit) => {
        const axis = edit.constant("axis", i64([2]));
        const reshaped = (kind: string, v: Value, rank: number): Value =>
          shapeOf(v)?.length === rank ? (edit.insert(kind, [v, axis], { name: v.name }).outputs[0] as Value) : v;
        const inputs = op.inputs.map((v) => (v === null ? null : reshaped("unsqueeze", v, 3)));
        made = edit.insert(op.kind, inputs, { attrs: widenedAttrs(op.attrs), outputs: op.outputs.length, name: op.name });
        made.outputs.forEach((v, i) => {
          edit.replaceAllUses(op.outputs[i] as Value, reshaped("squeeze", v, 4));
        });
        edit.eraseDead(op);
      });
      return made;
    }

    function swap(op: Op, make: (edit: Edit) => Value): null {
      rewrite.patch(op, `${op.kind} mapped to the engine's kernel`, (edit) => {
        edit.replaceAllUses(op.outputs[0] as Value, channelsFirst(edit, make(edit)));
        edit.eraseDead(op);
      });
      return null;
    }

    function conv(op: Op): string | null {
      const [x, w, bias, residual] = op.inputs;
      const kernel = shapeOf(w)?.slice(2);
      if (kernel?.length !== 2 || !isStatic(kernel) || shapeOf(x) === null) return "it is not 2-D, or its sizes are not known";
      const window = windowAttrs(op, shapeOf(x)?.slice(2) as Shape, kernel);
      if (typeof window === "string") return window;
      return swap(op, (edit) => {
        const inputs = [
          channelsLast(edit, x as Value),
          channelsLast(edit, w as Value),
          bias ?? null,
          residual == null ? null : channelsLast(edit, residual),
        ];
        const attrs = { ...window, group: num(op, "group", 1), ...fusedAttrs(op) };
        return edit.insert("cpu.conv_variable", inputs, { attrs, name: op.name }).outputs[0] as Value;
      });
    }

    function convTranspose(op: Op): string | null {
      const [x, w, bias] = op.inputs;
      if (shapeOf(x)?.length !== 4) return "it is not 2-D";
      const window = transposedWindowAttrs(op);
      if (typeof window === "string") return window;
      const attrs = { ...window, ...fusedAttrs(op) };
      return swap(op, (edit) => {
        const inputs = [channelsLast(edit, x as Value), channelsLast(edit, w as Value), bias ?? null];
        return edit.insert("cpu.conv_transpose_variable", inputs, { attrs, name: op.name }).outputs[0] as Value;
      });
    }

    function convBackwardWeights(op: Op): string | null {
      if (shapeOf(op.inputs[0])?.length !== 4) return "it is not 2-D";
      return swap(op, (edit) => {
        const inputs = op.inputs.map((v) => channelsLast(edit, v as Value));
        return edit.insert(op.kind, inputs, { attrs: { ...op.attrs, channels_last: 1 }, name: op.name }).outputs[0] as Value;
      });
    }

    /** Operands and results of rank 4 are images; vectors of channels stay. */
    function trainingOp(op: Op): string | null {
      const rank = shapeOf(op.inputs[image(op)])?.length;
      if (rank === 2) return null;
      if (rank !== 4) return "it is not 2-D";
      rewrite.patch(op, `${op.kind} runs channels last`, (edit) => {
        const inputs = op.inputs.map((v) => (v !== null && shapeOf(v)?.length === 4 ? channelsLast(edit, v) : v));
        const made = edit.insert(op.kind, inputs, { attrs: { ...op.attrs, channels_last: 1 }, outputs: op.outputs.length, name: op.name });
        made.outputs.forEach((v, i) => {
          edit.replaceAllUses(op.outputs[i] as Value, shapeOf(v)?.length === 4 ? channelsFirst(edit, v) : v);
        });
        edit.eraseDead(op);
      });
      return null;
    }
  },
});

/** The operand that is an image. */
const image = (op: Op): number => (op.kind === "train.batch_norm_backward" ? 1 : 0);

/** Attributes of a window over one axis, for two. */
const widenedAttrs = (attrs: Attrs): Attrs =>
  Object.fromEntries(
    Object.entries(attrs).map(([name, v]) => {
      const list = Array.isArray(v) ? (v as readonly number[]) : [];
      if (["strides", "dilations", "kernel_shape"].includes(name)) return [name, [1, ...list]];
      if (name === "output_padding") return [name, [0, ...list]];
      return name === "pads" && list.length === 2 ? [name, [0, list[0] as number, 0, list[1] as number]] : [name, v];
    }),
  );

function rejectSpatial(op: Op): never {
  const name = op.name.replace(/\.grad$/, "");
  return fail("CEC4013", {
    message: `"${name}" is not trained here`,
    why: "it has three spatial axes: convolutions, max pools and batch normalization are trained over one or two",
    help: "freeze it and what is before it (`frozen`), or write that part of the model with other ops",
    at: { node: name },
  });
}
