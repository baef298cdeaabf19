import { z } from "zod";
import { CecError, constantTensor, type Diagnostic, definePass, diagnostic, toNumbers } from "../../compiler/core/index.js";
import { type EdgeSpec, integersOf, readSpec } from "./spec.js";
import { storedRange } from "./weights.js";

/**
 * Holds all specs against the target before anything is changed. `tensorrt`: symmetric i8 only, no quantized bias. `cpu`: per-tensor activations, symmetric
 * weights, i32 biases derived from activation and weight. Changes nothing; reports every fault.
 */
export const validateQuantization = definePass({
  name: "validate-quantization",
  summary: "Hold quantization specs against the target",
  from: "annotated",
  to: "same",
  keeps: "bit-exact",
  options: z.object({ profile: z.enum(["cpu", "tensorrt"]).default("cpu").describe("the target") }).strict(),
  statistics: { edges: "specs checked" },
  run({ graph, options, count }) {
    const faults: Diagnostic[] = [];
    for (const op of graph.ops) {
      const spec = readSpec(op);
      if (spec === null) continue;
      const report = (what: string, why: string): void => {
        if (faults.length < 20)
          faults.push(
            diagnostic("CEC4008", {
              message: `${op.kind} "${op.name}": ${what}`,
              why,
              at: { node: op.name },
              help: "change the options of the quantization, or the profile",
            }),
          );
      };
      const check = (edge: EdgeSpec | null, place: string): void => {
        if (edge === null) return;
        count("edges");
        if (edge.kind === "observed" || edge.kind === "sharedWith")
          report(`${place} was not observed`, "every range must be known before it is used");
        if (edge.kind === "derivedFrom" && options.profile === "tensorrt")
          report(`${place} would be stored in 32 bits`, "TensorRT refuses quantized biases");
        if (edge.kind !== "fixed") return;
        const [low, high] = integersOf(edge.type, edge.bits);
        if (edge.scale.some((s) => !(s > 0 && Number.isFinite(s))))
          report(`${place} has a scale that is no positive number`, `scales are ${edge.scale.slice(0, 4).join(", ")}`);
        if (edge.zeroPoint.some((v) => !Number.isInteger(v) || v < low || v > high))
          report(
            `${place} has a zero point outside ${edge.bits === undefined ? edge.type : `the ${edge.bits} bits of its integers`}`,
            `zero points are ${edge.zeroPoint.slice(0, 4).join(", ")}`,
          );
        if (options.profile === "tensorrt" && (edge.type !== "i8" || edge.zeroPoint.some((v) => v !== 0)))
          report(`${place} is ${edge.type} with zero point ${edge.zeroPoint[0]}`, "TensorRT takes symmetric INT8 only");
      };
      spec.inputs.forEach((e, i) => check(e, `operand ${i}`));
      spec.outputs.forEach((e, i) => check(e, `result ${i}`));
      const w = spec.inputs[1];
      if (["conv", "gemm", "matmul"].includes(op.kind) && w?.kind === "fixed" && w.zeroPoint.some((v) => v !== 0))
        report("its weights are asymmetric", "kernels take symmetric weights");
      if (w?.kind === "fixed" && w.integers !== undefined) {
        const stored = constantTensor(graph.value(w.integers) ?? null);
        const weights = constantTensor(op.inputs[1] ?? null);
        const [least, most] = storedRange(w.bits);
        if (stored?.type !== "i8" || stored.dims.join() !== weights?.dims.join())
          report(`its spec names "${w.integers}" as integers`, "they must be a constant of type i8 and of the weights' shape");
        else if (toNumbers(stored).some((v) => v < least || v > most))
          report("its integers leave their range", `they must lie in [${least}, ${most}]`);
      }
      const x = spec.inputs[0];
      if (options.profile === "tensorrt" && [x, ...spec.outputs].some((e) => e?.kind === "fixed" && e.bits !== undefined))
        report("an activation has fewer than 8 bits", "TensorRT takes activations of 8 bits only");
      if (x?.kind === "fixed" && x.axis !== null) report("its activation is quantized per channel", "kernels take per-tensor activations");
    }
    if (faults.length > 0) throw new CecError(faults);
  },
});
