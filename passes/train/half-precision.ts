import { z } from "zod";
import { definePass, fail, i64, type Op, sameDim, type Value } from "../../compiler/core/index.js";
import { LOSS_SCALE } from "./autodiff.js";

/** Kinds that move elements: what they give is rounded already. */
const moves: ReadonlySet<string> = new Set(
  "cast cast_like concat expand flatten gather identity pad reshape slice split squeeze transpose unsqueeze train.round_half".split(" "),
);

/**
 * Mixed precision with f16 in memory (Micikevicius et al. 2018): activations that the gradient reads are kept as f16 between forward and backward, and gradients of
 * activations are rounded through f16, as they would be where they are stored so. Arithmetic, parameters and statistics stay f32. A further output
 * `gradient_underflow` is the share of gradients that were not 0 and became so.
 *
 * It takes a lowered training graph: what is kept is then what the engine's kernels read.
 */
export const halfPrecision = definePass({
  name: "half-precision",
  summary: "Keep activations of a training graph as f16, round their gradients through f16",
  from: "lowered",
  to: "same",
  keeps: "lossy",
  options: z.object({}).strict(),
  statistics: { kept: "activations kept as f16", rounded: "gradients rounded through f16" },
  run({ graph, rewrite, count }) {
    const loss = graph.outputs.find((o) => o.name === "loss")?.value.producer;
    const scale = graph.inputs.find((v) => v.name === LOSS_SCALE);
    if (loss == null || scale === undefined)
      return fail("CEC4015", { message: "the graph has no scaled loss", help: "put `add_loss` and `autodiff { scaled: true }` before" });
    const ops = [...graph.ops];
    const place = new Map(ops.map((op, i) => [op, i]));
    const end = place.get(loss) as number;
    const batch = graph.inputs.flatMap((v) =>
      v.type.kind === "tensor" && (v.type.shape?.length ?? 0) > 1 ? (v.type.shape?.slice(0, 1) ?? []) : [],
    )[0];
    /** Activations and their gradients have the batch on some axis, which is mostly not known before it runs. */
    const isActivation = (v: Value): boolean =>
      v.type.kind === "tensor" &&
      v.type.elem === "f32" &&
      v.type.shape !== null &&
      v.type.shape.length > 1 &&
      (v.type.shape.some((d) => typeof d !== "number") || (batch !== undefined && sameDim(v.type.shape[0] as number, batch)));
    // Gradients are what depends on the scale.
    const gradients = new Set<Value>([scale]);
    for (const op of ops) if (op.inputs.some((v) => v !== null && gradients.has(v))) for (const v of op.outputs) gradients.add(v);
    const counts: Value[] = [];
    for (const [i, op] of ops.entries()) {
      if (op.kind === "constant") continue;
      const next = ops[i + 1] ?? null;
      for (const v of op.outputs.filter(isActivation)) {
        const later = graph.users(v).filter((user) => (place.get(user) ?? 0) > end);
        if (gradients.has(v)) {
          if (!moves.has(op.kind) && graph.users(v).length > 0) round(v, next);
        } else if (i <= end && later.length > 0) keep(v, next, later);
      }
    }
    if (counts.length > 0)
      rewrite.patch(null, "share of gradients that became 0", (edit) => {
        const v = (kind: string, inputs: readonly Value[], attrs: Op["attrs"] = {}): Value =>
          edit.insert(kind, inputs, { attrs, name: "underflow" }).outputs[0] as Value;
        const all = counts.reduce((a, b) => v("add", [a, b]));
        const [nonzero, flushed] = [0, 1].map((at) =>
          v("cast", [v("gather", [all, edit.constant("underflow.index", i64([at], []))], { axis: 0 })], { to: "f32" }),
        ) as [Value, Value];
        edit.addOutput("gradient_underflow", v("div", [flushed, nonzero]));
      });

    /** Forward goes on with f32; each later reader widens for itself, so that no f32 copy lives longer than it is read. */
    function keep(v: Value, next: Op | null, later: readonly Op[]): void {
      let half: Value | undefined;
      rewrite.patch(next, `%${v.name} kept as f16`, (edit) => {
        half = edit.insert("cast", [v], { attrs: { to: "f16" }, name: `${v.name}.f16` }).outputs[0];
      });
      for (const user of later)
        rewrite.patch(user, `%${v.name} read from f16`, (edit) => {
          const wide = edit.insert("cast", [half as Value], { attrs: { to: "f32" }, name: `${v.name}.f32` }).outputs[0] as Value;
          user.inputs.forEach((x, i) => {
            if (x === v) edit.setInput(user, i, wide);
          });
        });
      count("kept");
    }

    function round(v: Value, next: Op | null): void {
      rewrite.patch(next, `%${v.name} rounded through f16`, (edit) => {
        const users = graph.users(v);
        const made = edit.insert("train.round_half", [v], { outputs: 2, name: `${v.name}.rounded` });
        for (const user of users)
          user.inputs.forEach((x, i) => {
            if (x === v) edit.setInput(user, i, made.outputs[0] as Value);
          });
        counts.push(made.outputs[1] as Value);
      });
      count("rounded");
    }
  },
});
