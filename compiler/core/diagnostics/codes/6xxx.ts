/** Codes about engines. */
import type { CodeText } from "./index.js";

export const codes6 = {
  CEC6001: { title: "Native engine rejects the program", text: "The program file is damaged, or an op's operands are not what the engine runs." },
  CEC6002: { title: "Native engine is not built", text: "Run `npm run build:native`; it needs CMake and a C++17 compiler." },
  CEC6003: {
    title: "Native engine lacks an op",
    text: "The graph holds an op that the native engine does not run; `--engine ort` runs it in ONNX Runtime.",
  },
  CEC6004: { title: "ONNX Runtime is not installed", text: "`npm install onnxruntime-node` adds it; it is an optional dependency." },
  CEC6005: { title: "ONNX Runtime rejects the model", text: "ONNX Runtime could not load or run the exported model." },
  CEC6006: { title: "Feeds do not fit the model", text: "An input is missing, unknown, or has another type or shape than the model declares." },
} as const satisfies Record<string, CodeText>;
