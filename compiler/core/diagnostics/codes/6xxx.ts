/** Codes about engines. 6001 to 6010 and 6090 are also what the C++ library reports. */
import type { CodeText } from "./index.js";

export const codes6 = {
  CEC6001: {
    title: "Program file is damaged, truncated or hostile",
    text: "A .cecb file is checked byte by byte when it is loaded. Build it again.",
  },
  CEC6002: {
    title: "Native engine lacks an op",
    text: "The graph holds an op that the native engine does not run; `--engine ort` runs it in ONNX Runtime.",
  },
  CEC6003: {
    title: "Operands or attributes that an op of the native engine cannot take",
    text: "The op exists in the engine, but not for these types, ranks or attributes. `--engine ort` runs the model in ONNX Runtime.",
  },
  CEC6004: {
    title: "Shapes that do not fit together, or are too large",
    text: "The shapes of the inputs do not fit the model, or an intermediate result would be larger than memory.",
  },
  CEC6005: { title: "Feed is missing, unknown, or of the wrong type or shape", text: "Each graph input needs one array of its type and shape." },
  CEC6006: { title: "Memory that could not be had", text: "The engine could not allocate its arena: use a smaller batch." },
  CEC6007: { title: "Wrong argument of the engine's API", text: "A session was used after dispose, or an option is out of range." },
  CEC6008: { title: "Data that an op cannot compute with", text: "An index is outside its axis, or an integer is divided by zero." },
  CEC6009: {
    title: "Native engine is not built",
    text: "Run `npm run build:native`; it needs CMake and a C++17 compiler (Debian: apt-get install cmake g++).",
  },
  CEC6010: { title: "Graph cannot be written as a program", text: "Only lowered graphs with known element types can be written as .cecb." },
  CEC6011: { title: "ONNX Runtime is not installed", text: "`npm install onnxruntime-node@1.30.0` adds it; it is an optional dependency." },
  CEC6012: { title: "ONNX Runtime rejects the model", text: "ONNX Runtime could not load or run the exported model." },
  CEC6013: { title: "Run was cancelled", text: "Its caller aborted it: through an AbortSignal, or the cancel flag of the C++ API." },
  CEC6090: { title: "Bug of the native engine", text: "The engine found itself in a state that it should not reach. Please report it." },
} as const satisfies Record<string, CodeText>;
