/** Runtimes that a plan can hold a model against: `require ops in TARGET`, and `profile` of an output. */
import { unsupportedReason } from "../../passes/index.js";
import { constantTensor, type Graph, type Op, toNumbers } from "../core/index.js";

interface Target {
  readonly summary: string;
  /** Why the target does not run the op; `null` where it does. */
  reason(op: Op): string | null;
}

/** A pair's zero points are all 0. TensorRT quantizes symmetrically only (developer guide, "Quantized types"). */
function asymmetric(op: Op): boolean {
  const zero = constantTensor(op.inputs[2] ?? null);
  return zero !== null && (zero.type === "u8" || toNumbers(zero).some((v) => v !== 0));
}

export const targets = {
  native: { summary: "cec's own engine", reason: unsupportedReason },
  ort: {
    summary: "ONNX Runtime: the standard operators",
    reason: (op) =>
      op.kind === "carry" && !["", "ai.onnx", "ai.onnx.ml", "com.microsoft"].includes(String(op.attrs["domain"] ?? ""))
        ? `the domain ${op.attrs["domain"]} is not built in`
        : null,
  },
  tensorrt: {
    summary: "TensorRT 10: explicit, symmetric INT8",
    reason(op) {
      if (["quantize_linear", "dequantize_linear"].includes(op.kind)) {
        if (asymmetric(op)) return "its zero point is not 0, and TensorRT takes symmetric INT8 only";
        const x = op.inputs[0]?.type;
        // TensorRT-RTX 1.7 refuses a DequantizeLinear from i32.
        if (op.kind === "dequantize_linear" && x?.kind === "tensor" && x.elem === "i32") return "its bias is stored as i32, which TensorRT refuses";
      }
      if (["qlinear_conv", "qlinear_matmul", "matmul_integer", "conv_integer", "dynamic_quantize_linear"].includes(op.kind))
        return "TensorRT takes quantization as QDQ pairs only";
      if (op.kind === "carry") return `the operator ${op.attrs["domain"] || "ai.onnx"}.${op.attrs["op_type"]} needs a plug-in there`;
      return null;
    },
  },
} as const satisfies Record<string, Target>;

export type TargetName = keyof typeof targets;

export interface Misfit {
  readonly op: string;
  readonly kind: string;
  readonly reason: string;
}

/** Ops that a target does not run. */
export const misfits = (graph: Graph, target: TargetName): Misfit[] =>
  graph.ops.flatMap((op) => {
    if (op.kind === "constant") return [];
    const reason = (targets[target] as Target).reason(op);
    return reason === null ? [] : [{ op: op.name || (op.outputs[0]?.name ?? ""), kind: op.kind, reason }];
  });
