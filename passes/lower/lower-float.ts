import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  f32,
  num,
  nums,
  type Op,
  type Shape,
  type Tensor,
  tensor,
  toNumbers,
  type Value,
} from "../../compiler/core/index.js";
import { fusedAttrs } from "./fused-attrs.js";
import { channelsFirst, channelsLast, transposed } from "./layout.js";
import { transposedWindowAttrs, windowAttrs } from "./window-attrs.js";

const shapeOf = (v: Value | null | undefined): Shape | null => (v?.type.kind === "tensor" ? v.type.shape : null);
const isF32 = (v: Value | null | undefined): boolean => v?.type.kind === "tensor" && v.type.elem === "f32";

/**
 * Maps float convolutions, transposed convolutions, pools and matrix products with constant weights to the engine's channels-last kinds; transposes stand at
 * their edges until `assign-layout` moves them. What does not fit (computed weights, three spatial axes) stays in the engine's plain, slower form.
 */
export const lowerFloat = definePass({
  name: "lower-float",
  summary: "Map float ops to the engine's kernels",
  from: "lowered",
  to: "same",
  keeps: "values",
  options: z
    .object({
      precision: z
        .enum(["f32", "bf16"])
        .default("f32")
        .describe(
          "what operands of convolutions and matrix products are rounded to; sums stay f32. bf16 halves their weights in memory, not in the .cecb (which stores f32 and packs at load), and is for CPUs with AVX512-BF16",
        ),
    })
    .strict(),
  statistics: { lowered: "ops mapped", plain: "ops left in plain form" },
  run({ graph, options, rewrite, count, decide }) {
    const rounding = options.precision === "bf16" ? { precision: "bf16" } : {};
    const lower: Readonly<Record<string, (op: Op) => string | null>> = {
      conv,
      conv_transpose: convTranspose,
      max_pool: pool,
      average_pool: pool,
      global_max_pool: globalPool,
      global_average_pool: globalPool,
      gemm,
      matmul,
    };
    for (const op of [...graph.ops]) {
      const rule = lower[op.kind];
      if (rule === undefined || !graph.ops.includes(op)) continue;
      const reason = isF32(op.inputs[0]) ? rule(op) : "it is not f32";
      if (reason === null) count("lowered");
      else {
        count("plain");
        decide(op, "plain form", reason);
      }
    }

    function swap(op: Op, make: (edit: Edit) => Value): null {
      rewrite.patch(op, `${op.kind} mapped to the engine's kernel`, (edit) => {
        edit.replaceAllUses(op.outputs[0] as Value, make(edit));
        edit.eraseDead(op);
      });
      return null;
    }

    function conv(op: Op): string | null {
      const [x, w, bias, residual] = op.inputs;
      const shape = shapeOf(x);
      const weights = constantTensor(w);
      const b = bias == null ? null : constantTensor(bias);
      if (shape === null) return "the shape of its input is not known";
      if (weights === null || (bias != null && b === null)) return "its weights or bias are computed";
      const window = windowAttrs(op, shape.slice(2), weights.dims.slice(2));
      if (typeof window === "string") return window;
      const oneD = weights.dims.length === 3;
      // One multiplication an input element: bound by memory, and kept in f32.
      const depthwise = weights.dims[1] === 1 && num(op, "group", 1) > 1 && num(op, "group", 1) === weights.dims[0];
      const name = op.name || op.outputs[0]?.name || "conv";
      const data = oneD ? { ...weights, dims: [weights.dims[0], weights.dims[1], 1, weights.dims[2]] as number[] } : weights;
      return swap(op, (edit) => {
        const lift = (v: Value): Value =>
          oneD ? (edit.insert("unsqueeze", [v, edit.constant(`${name}.axis`, tensor("i64", [1], [2]))]).outputs[0] as Value) : v;
        const y = edit.insert(
          "cpu.conv",
          [
            channelsLast(edit, lift(x as Value)),
            edit.constant(`${name}.w`, transposed(data, [0, 2, 3, 1])),
            bias ?? null,
            residual == null ? null : channelsLast(edit, lift(residual)),
          ],
          { attrs: { ...window, group: num(op, "group", 1), ...fusedAttrs(op), ...(depthwise ? {} : rounding) }, name: op.name },
        );
        const out = channelsFirst(edit, y.outputs[0] as Value);
        return oneD ? (edit.insert("squeeze", [out, edit.constant(`${name}.axis`, tensor("i64", [1], [2]))]).outputs[0] as Value) : out;
      });
    }

    function convTranspose(op: Op): string | null {
      const [x, w, bias] = op.inputs;
      const shape = shapeOf(x);
      const weights = constantTensor(w);
      if (shape?.length !== 4) return "it is not 2-D";
      if (weights === null || (bias != null && constantTensor(bias) === null)) return "its weights or bias are computed";
      const window = transposedWindowAttrs(op);
      if (typeof window === "string") return window;
      const attrs = { ...window, ...fusedAttrs(op) };
      return swap(op, (edit) => {
        const y = edit.insert(
          "cpu.conv_transpose",
          [channelsLast(edit, x as Value), edit.constant(`${op.name}.w`, transposed(weights, [0, 2, 3, 1])), bias ?? null],
          { attrs, name: op.name },
        );
        return channelsFirst(edit, y.outputs[0] as Value);
      });
    }

    function pool(op: Op): string | null {
      const shape = shapeOf(op.inputs[0]);
      if (shape?.length !== 4) return "it is not 2-D";
      if (op.outputs.length > 1) return "its indices are read";
      const window = windowAttrs(op, shape.slice(2), nums(op, "kernel_shape"));
      if (typeof window === "string") return window;
      const rest = Object.fromEntries(
        Object.entries(op.attrs).filter(([k]) => k === "ceil_mode" || (k === "count_include_pad" && op.kind === "average_pool")),
      );
      return swap(op, (edit) =>
        channelsFirst(
          edit,
          edit.insert(`cpu.${op.kind}`, [channelsLast(edit, op.inputs[0] as Value)], {
            attrs: { kernel_shape: nums(op, "kernel_shape"), ...window, ...rest },
            name: op.name,
          }).outputs[0] as Value,
        ),
      );
    }

    function globalPool(op: Op): string | null {
      if (shapeOf(op.inputs[0])?.length !== 4) return "it is not 2-D";
      return swap(op, (edit) =>
        channelsFirst(edit, edit.insert(`cpu.${op.kind}`, [channelsLast(edit, op.inputs[0] as Value)], { name: op.name }).outputs[0] as Value),
      );
    }

    function gemm(op: Op): string | null {
      const [x, w, c] = op.inputs;
      const weights = constantTensor(w);
      const bias = c == null ? null : constantTensor(c);
      if (weights === null || (c != null && bias === null)) return "its weights or bias are computed";
      if (num(op, "transA", 0) === 1) return "its first operand is transposed";
      const rows = num(op, "transB", 0) === 1;
      const features = weights.dims[rows ? 0 : 1] as number;
      if (bias !== null && bias.data.length !== 1 && (bias.data.length !== features || bias.dims.at(-1) !== features))
        return "what is added is no bias row";
      const [alpha, beta] = [num(op, "alpha", 1), num(op, "beta", 1)];
      return swap(op, (edit) =>
        linear(
          edit,
          op,
          x as Value,
          scaled(rows ? weights : transposed(weights, [1, 0]), alpha),
          bias === null ? null : spread(bias, features, beta),
        ),
      );
    }

    function matmul(op: Op): string | null {
      const [x, w] = op.inputs;
      const weights = constantTensor(w);
      const rank = shapeOf(x)?.length;
      if (weights === null || weights.dims.length !== 2) return "its second operand is no constant matrix";
      if (rank === undefined || rank < 2) return "the rank of its first operand is not known, or 1";
      // A bias add behind it joins, whatever the rank: the kernel adds rows.
      const y = op.outputs[0] as Value;
      const add = op.attrs["activation"] === undefined ? graph.onlyUser(y) : null;
      const other = add?.kind === "add" ? (add.inputs[0] === y ? add.inputs[1] : add.inputs[0]) : null;
      const bias = constantTensor(other ?? null);
      const features = weights.dims[1] as number;
      if (add?.kind === "add" && bias !== null && bias.data.length === features && bias.dims.at(-1) === features && bias.dims.length <= rank) {
        rewrite.patch(add, "matrix product and bias mapped to the engine's kernel", (edit) => {
          edit.replaceAllUses(
            add.outputs[0] as Value,
            linear(edit, add, x as Value, transposed(weights, [1, 0]), spread(bias, features, 1), op.name),
          );
          edit.eraseDead(add);
        });
        return null;
      }
      return swap(op, (edit) => linear(edit, op, x as Value, transposed(weights, [1, 0]), null));
    }

    function linear(edit: Edit, op: Op, x: Value, w: Tensor, bias: Tensor | null, name = op.name): Value {
      const base = name || op.outputs[0]?.name || "gemm";
      return edit.insert("cpu.gemm", [x, edit.constant(`${base}.w`, w), bias === null ? null : edit.constant(`${base}.b`, bias)], {
        attrs: { ...fusedAttrs(op), ...rounding },
        name,
      }).outputs[0] as Value;
    }
  },
});

const scaled = (t: Tensor, by: number): Tensor =>
  by === 1
    ? t
    : f32(
        t.dims,
        toNumbers(t).map((v) => v * by),
      );
/** A bias as one row, scaled. */
const spread = (t: Tensor, features: number, by: number): Tensor => {
  const v = toNumbers(t);
  return f32(
    [features],
    Float64Array.from({ length: features }, (_, i) => by * (v[v.length === 1 ? 0 : i] as number)),
  );
};
