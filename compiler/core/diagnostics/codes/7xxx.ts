/** Codes about requirements and outputs. */
import type { CodeText } from "./index.js";

export const codes7 = {
  CEC7001: { title: "Requirement does not hold", text: "The built model breaks a `require` line of the plan. No output was put into place." },
  CEC7002: {
    title: "Engines disagree",
    text: "The emitted file gives other results in ONNX Runtime than in the native engine, beyond what rounding explains.",
  },
  CEC7003: { title: "Requirement cannot be measured", text: "What the requirement speaks of was not evaluated, or an engine for it is missing." },
  CEC7004: {
    title: "Output cannot be written",
    text: "The folder cannot be created, the file not written, or the disk is full. No partial file is left.",
  },
  CEC7005: {
    title: "ONNX Runtime saturates on this CPU",
    text: "On x86 CPUs without VNNI, ONNX Runtime's default INT8 kernels add pairs of products in 16 bits, which saturate: the same file gives other results than elsewhere. Its session option session.x64quantprecision=1 makes it exact; cec's own engine is exact on every CPU.",
  },
  CEC7006: {
    title: "Result is slower or larger than its source",
    text: "Compression that costs time or space is a warning, never silent. Latencies are medians of alternating runs on this machine.",
  },
  CEC7007: {
    title: "Models do not belong together",
    text: "`cec analyze` compares a model with what was made of it: layers are found by name, by the name of their result, or by their place in the graph.",
  },
  CEC7008: {
    title: "Model is not quantized",
    text: "`cec analyze` found no QuantizeLinear, DequantizeLinear or integer weights in ops that have a counterpart: values are compared, quantizers cannot be.",
  },
  CEC7009: {
    title: "Many predictions changed",
    text: "More than a tenth of the predictions on evaluation data differ from the source's. A `require` line (`top1 drop`, `agreement`) makes such a build fail; without one it is a warning. Where the plan trains, other predictions are what it is for: the warning then says that top1 fell below the source's.",
  },
} as const satisfies Record<string, CodeText>;
