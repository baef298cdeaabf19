import { z } from "zod";
import { constantTensor, definePass, type Edit, isStatic, num, type Op, type Shape, type Value } from "../../compiler/core/index.js";
import { shapeOf } from "../canonicalize/match.js";
import { fusedAttrs } from "./fused-attrs.js";
import { channelsFirst, channelsLast } from "./layout.js";
import { transposedWindowAttrs, windowAttrs } from "./window-attrs.js";

const isF32 = (v: Value | null | undefined): boolean => v?.type.kind === "tensor" && v.type.elem === "f32";
const isComputed = (v: Value | null | undefined): boolean => v != null && constantTensor(v) === null;

/**
 * Maps what training graphs hold and inference graphs hardly do to the engine's channels-last kernels: convolutions whose weights are computed (state, to the
 * engine), their gradients, and the ops of `train.*` on images. Three spatial axes, or one, stay in plain form.
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
      const reason = rule(op);
      if (reason === null) count("lowered");
      else decide(op, "plain form", reason);
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
      const rank = shapeOf(op.inputs[op.kind === "train.batch_norm_backward" ? 1 : 0])?.length;
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
