import { z } from "zod";
import {
  constantTensor,
  definePass,
  type Edit,
  fromBytes,
  i64,
  num,
  type Op,
  type Shape,
  type Tensor,
  toBytes,
  type Value,
} from "../../compiler/core/index.js";
import { channelsFirst, channelsLast, isPerm, TO_NCHW, TO_NHWC, transposed } from "./layout.js";

const shapeOf = (v: Value | null | undefined): Shape | null => (v?.type.kind === "tensor" ? v.type.shape : null);

/** Element-wise kinds: the same in any layout, once all operands have it. */
const elementwise: ReadonlySet<string> = new Set([
  "add",
  "sub",
  "mul",
  "div",
  "pow",
  "min",
  "max",
  "sum",
  "mean",
  "where",
  "relu",
  "leaky_relu",
  "prelu",
  "clip",
  "elu",
  "selu",
  "celu",
  "softplus",
  "softsign",
  "mish",
  "hard_sigmoid",
  "hard_swish",
  "sigmoid",
  "tanh",
  "gelu",
  "erf",
  "sqrt",
  "exp",
  "log",
  "neg",
  "abs",
  "reciprocal",
  "floor",
  "ceil",
  "round",
  "sign",
  "cast",
  "identity",
  "equal",
  "less",
  "greater",
  "less_or_equal",
  "greater_or_equal",
  "and",
  "train.relu_backward",
  "train.fake_quantize",
  "train.fake_quantize_backward",
  "cpu.qadd",
  "cpu.qmul",
  "cpu.requantize",
  "cpu.lut",
]);
/** Operands beyond the first that are parameters, not data. */
const parameters: Readonly<Record<string, readonly number[]>> = {
  clip: [1, 2],
  "cpu.lut": [1],
  quantize_linear: [1, 2],
  dequantize_linear: [1, 2],
  "train.fake_quantize": [1, 2],
  "train.fake_quantize_backward": [2, 3],
};
/** Kinds whose other results are no images. */
const oneImage: ReadonlySet<string> = new Set(["train.fake_quantize_backward"]);

/**
 * Moves channels-first transposes down through ops that do not care for the order (element-wise ops, concat, pad, slice, quantization), so that they meet the
 * transposes of the next kernel and cancel: transposes stay only at the edges of the network. Constants are transposed at compile time.
 */
export const assignLayout = definePass({
  name: "assign-layout",
  summary: "Keep images channels last between kernels",
  from: "lowered",
  to: "same",
  keeps: "bit-exact",
  options: z.object({}).strict(),
  statistics: { moved: "ops that run channels last", flattened: "reshapes that need no transpose" },
  run({ graph, rewrite, count }) {
    for (const op of [...graph.ops]) {
      if (!graph.ops.includes(op)) continue;
      if (op.kind.startsWith("reduce_") && reduceImages(op)) continue;
      if ((op.kind === "flatten" || op.kind === "reshape" || op.kind === "squeeze") && flattenPooled(op)) continue;
      if (!op.inputs.some((v) => isPerm(v?.producer, TO_NCHW)) || shapeOf(op.outputs[0])?.length !== 4) continue;
      if (op.outputs.length !== 1 && !oneImage.has(op.kind)) continue;
      const plan = planFor(op);
      if (plan === null) continue;
      rewrite.patch(op, `${op.kind} runs channels last`, (edit) => {
        const moved = edit.insert(op.kind, plan.inputs(edit), { attrs: plan.attrs, outputs: op.outputs.length, name: op.name });
        op.outputs.forEach((v, i) => {
          edit.replaceAllUses(v, i === 0 ? channelsFirst(edit, moved.outputs[0] as Value) : (moved.outputs[i] as Value));
        });
        edit.eraseDead(op);
      });
      count("moved");
    }

    /** A reduction that leaves no image: its axes are named anew. */
    function reduceImages(op: Op): boolean {
      const before = op.inputs[0]?.producer;
      const axes = constantTensor(op.inputs[1] ?? null);
      if (!isPerm(before, TO_NCHW) || axes === null || num(op, "keepdims", 1) === 1) return false;
      const moved = Array.from(axes.data as BigInt64Array, (a) => moveAxis(Number(a))).sort((a, b) => a - b);
      // What is left keeps its order only if it is no more than one axis.
      if (moved.length < 3) return false;
      rewrite.patch(op, `${op.kind} runs channels last`, (edit) => {
        const inputs = [(before as Op).inputs[0] as Value, edit.constant(`${op.name || op.kind}.axes`, i64(moved))];
        edit.replaceAllUses(op.outputs[0] as Value, edit.insert(op.kind, inputs, { attrs: op.attrs, name: op.name }).outputs[0] as Value);
        edit.eraseDead(op);
      });
      count("moved");
      return true;
    }

    /** A reshape of pooled images [N, C, 1, 1] reads the same elements in either order. */
    function flattenPooled(op: Op): boolean {
      const before = op.inputs[0]?.producer;
      const shape = shapeOf(op.inputs[0]);
      if (!isPerm(before, TO_NCHW) || shape?.length !== 4 || shape[2] !== 1 || shape[3] !== 1) return false;
      const out = shapeOf(op.outputs[0]);
      if (out?.length !== 2 || out[1] !== shape[1]) return false;
      rewrite.patch(op, "the images are single pixels", (edit) => {
        const flat = edit.insert("flatten", [(before as Op).inputs[0] as Value], { attrs: { axis: 1 }, name: op.name });
        edit.replaceAllUses(op.outputs[0] as Value, flat.outputs[0] as Value);
        edit.eraseDead(op);
      });
      count("flattened");
      return true;
    }
  },
});

interface Plan {
  readonly inputs: (edit: Edit) => (Value | null)[];
  readonly attrs: Op["attrs"];
}

/** Where channels-first axis `a` stands channels last. */
const moveAxis = (a: number): number => TO_NHWC.indexOf(a < 0 ? a + 4 : a);

function planFor(op: Op): Plan | null {
  const data = (indices: readonly number[]) => (edit: Edit) => op.inputs.map((v, i) => (v === null || !indices.includes(i) ? v : operand(edit, v)));
  const all = op.inputs.map((_, i) => i);
  const keep = parameters[op.kind] ?? [];
  if (elementwise.has(op.kind)) {
    const indices = all.filter((i) => !keep.includes(i));
    const attrs = op.attrs["axis"] === undefined ? op.attrs : { ...op.attrs, axis: moveAxis(num(op, "axis", 0)) };
    return indices.every((i) => movable(op.inputs[i] ?? null)) ? { inputs: data(indices), attrs } : null;
  }
  switch (op.kind) {
    case "quantize_linear":
    case "dequantize_linear": {
      const perTensor = (shapeOf(op.inputs[1])?.length ?? 1) === 0 || shapeOf(op.inputs[1])?.[0] === 1;
      return { inputs: data([0]), attrs: perTensor ? op.attrs : { ...op.attrs, axis: moveAxis(num(op, "axis", 1)) } };
    }
    case "concat":
      return all.every((i) => movable(op.inputs[i] ?? null))
        ? { inputs: data(all), attrs: { ...op.attrs, axis: moveAxis(num(op, "axis", 0)) } }
        : null;
    case "softmax":
    case "log_softmax":
      return { inputs: data([0]), attrs: { axis: moveAxis(num(op, "axis", -1)) } };
    case "pad": {
      const pads = constantTensor(op.inputs[1]);
      if (pads === null || op.inputs[3] != null || pads.data.length !== 8) return null;
      const v = Array.from(pads.data as BigInt64Array, Number);
      const moved = [...TO_NHWC.map((a) => v[a] as number), ...TO_NHWC.map((a) => v[a + 4] as number)];
      return {
        inputs: (edit) => [operand(edit, op.inputs[0] as Value), edit.constant(`${op.name || "pad"}.pads`, i64(moved)), op.inputs[2] ?? null],
        attrs: op.attrs,
      };
    }
    case "expand": {
      const target = constantTensor(op.inputs[1]);
      if (target === null || target.data.length !== 4) return null;
      const v = Array.from(target.data as BigInt64Array, Number);
      return {
        inputs: (edit) => [
          operand(edit, op.inputs[0] as Value),
          edit.constant(`${op.name || "expand"}.shape`, i64(TO_NHWC.map((a) => v[a] as number))),
        ],
        attrs: op.attrs,
      };
    }
    case "slice": {
      const starts = op.inputs[1];
      const axes = op.inputs[3] == null ? null : constantTensor(op.inputs[3]);
      const length = shapeOf(starts)?.[0];
      if (op.inputs[3] != null ? axes === null : typeof length !== "number") return null;
      const list = axes === null ? Array.from({ length: length as number }, (_, i) => i) : Array.from(axes.data as BigInt64Array, Number);
      return {
        inputs: (edit) => [
          operand(edit, op.inputs[0] as Value),
          starts ?? null,
          op.inputs[2] ?? null,
          edit.constant(`${op.name || "slice"}.axes`, i64(list.map(moveAxis))),
          op.inputs[4] ?? null,
        ],
        attrs: op.attrs,
      };
    }
    default:
      return null;
  }
}

/** Constants of any broadcastable rank can be put into the other order; computed values need rank 4, or a single element. */
const movable = (v: Value | null): boolean => {
  const shape = shapeOf(v);
  if (v === null || shape === null) return v === null;
  return shape.length === 4 || shape.length === 0 || shape.every((d) => d === 1) || v.producer?.kind === "constant";
};

function operand(edit: Edit, v: Value): Value {
  const shape = shapeOf(v);
  if (shape === null || shape.length === 0 || shape.every((d) => d === 1))
    return shape?.length === 4 && v.producer?.kind !== "constant" ? channelsLast(edit, v) : v;
  const t = shape.length < 4 ? constantTensor(v) : null;
  if (t === null) return channelsLast(edit, v);
  return edit.constant(`${v.name}.nhwc`, transposed(lift(t), TO_NHWC));
}

/** Leading axes of size 1 until the rank is 4. */
const lift = (t: Tensor): Tensor => fromBytes(t.type, [...new Array<number>(4 - t.dims.length).fill(1), ...t.dims], toBytes(t));
