/** Whether the two models are what `cec analyze` compares: a float model and what was made of it. */
import { type Diagnostic, diagnostic, fail, isConstant } from "../../core/index.js";
import type { AnalyzeOptions } from "./index.js";
import type { Pair } from "./layers.js";
import { likeness } from "./match.js";

/** Cosine that the weights of one layer keep under any quantization, pruning or fine-tuning; unrelated weights have about 0. */
const ALIKE = 0.5;
const weighted = (op: { readonly kind: string }): boolean => ["conv", "conv_transpose", "gemm", "matmul"].includes(op.kind);

/** @throws CecError CEC7007 for a source that is quantized itself */
export function checkSource(o: AnalyzeOptions): void {
  const { graph, path } = o.source;
  const found = graph.opsOf("quantize_linear", "qlinear_conv", "qlinear_matmul", "conv_integer", "matmul_integer");
  if (found.length > 0)
    fail("CEC7007", {
      message: `the source ${path} is quantized already`,
      why: `it has ${found.length} quantizers or integer operators, first ${found[0]?.kind} "${found[0]?.name}"; errors are measured against the float model`,
      help: "give the float model that was compressed first, then the result",
    });
}

/**
 * @returns warnings about layers that are not compared
 * @throws CecError CEC7007
 */
export function checkPair(pair: Pair, o: AnalyzeOptions): Diagnostic[] {
  const there = pair.source.ops.filter(weighted).length;
  const matched = pair.layers.filter((l) => weighted(l.source));
  const found = matched.length;
  const output = pair.source.outputs[0]?.name;
  const fused = pair.compressed.ops.find((op) => ["qlinear_conv", "qlinear_matmul", "conv_integer", "matmul_integer"].includes(op.kind));
  if (there > 0 && found === 0 && fused !== undefined)
    fail("CEC7007", {
      message: `${o.compressed.path} cannot be taken apart into layers`,
      why: `its layers are integer operators such as ${fused.kind} ("${fused.name}"), which hold quantizers and arithmetic in one`,
      help: "analyze a QDQ model (quant_format=QuantFormat.QDQ in ONNX Runtime's quantize_static)",
    });
  if (there > 0 && found === 0)
    fail("CEC7007", {
      message: `${o.source.path} and ${o.compressed.path} do not belong together`,
      why: `none of the source's ${there} weighted ops has a counterpart${pair.unmatched[0] === undefined ? "" : `: "${pair.unmatched[0].op}": ${pair.unmatched[0].reason}`}`,
      help: "give the model that was compressed first, then the result",
    });
  const compared = matched.filter((l) => isConstant(l.source.inputs[1]) && isConstant(l.compressed.inputs[1]));
  const unlike = compared.filter((l) => likeness(l.source, l.compressed) < ALIKE);
  if (unlike.length > compared.length / 2)
    fail("CEC7007", {
      message: `${o.source.path} and ${o.compressed.path} do not belong together`,
      why: `${unlike.length} of ${compared.length} layers that have each other's place have weights that are not alike (cosine below ${ALIKE}), first "${unlike[0]?.name}"`,
      help: "give the model that was compressed first, then the result; a network that was trained anew cannot be compared layer by layer",
    });
  if (output === undefined || !pair.compressed.outputs.some((v) => v.name === output))
    fail("CEC7007", {
      message: `${o.compressed.path} has no output "${output ?? ""}"`,
      why: `its outputs are ${pair.compressed.outputs.map((v) => v.name).join(", ")}`,
      help: "give the model that was compressed first, then the result",
    });
  const others = pair.unmatched.filter((u) => u.side === "compressed" && weighted(u)).length;
  const all = Math.max(there, found + others);
  return found >= all / 2
    ? []
    : [
        diagnostic("CEC7007", {
          severity: "warning",
          message: `only ${found} of ${all} weighted ops have a counterpart: do ${o.source.path} and ${o.compressed.path} belong together?`,
          why:
            pair.unmatched[0] === undefined
              ? ""
              : `"${pair.unmatched[0].op}" of the ${pair.unmatched[0].side === "source" ? "source" : "compressed model"}: ${pair.unmatched[0].reason}`,
          help: "figures per layer are of the matched ones only; those of the output are of the whole models",
        }),
      ];
}
