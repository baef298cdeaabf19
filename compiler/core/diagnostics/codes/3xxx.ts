/** Codes about models in ONNX. */
import type { CodeText } from "./index.js";

export const codes3 = {
  CEC3001: {
    title: "File is no ONNX model",
    text: "The bytes do not parse as an ONNX ModelProto: the file is truncated, damaged or of another format.",
  },
  CEC3002: { title: "Opset or IR version out of range", text: "cec imports opsets 7 to 28 of ai.onnx, and writes 13 to 26." },
  CEC3003: {
    title: "Tensor data does not match its type and shape",
    text: "The number of bytes or values of an initializer must be that of its type and dimensions.",
  },
  CEC3004: { title: "Dimension is negative or too large", text: "Dimensions are from 0 up, and a tensor's size must fit in 2^53 bytes." },
  CEC3005: { title: "Unknown tensor element type", text: "The data type number is none of ONNX's." },
  CEC3006: { title: "Value has no producer", text: "A node reads a name that is no input, no initializer and no output of another node." },
  CEC3007: { title: "Name is produced twice", text: "Each value of a graph is written once (single static assignment)." },
  CEC3008: { title: "Graph has a cycle", text: "The nodes cannot be put into an order in which each comes after what it reads." },
  CEC3009: {
    title: "External data outside the model's folder or not readable",
    text: "For safety the path of external data must stay within the folder that holds the model, symbolic links included.",
  },
  CEC3010: {
    title: "Node is malformed",
    text: "An operator has too few operands, an attribute of the wrong type, or a value that its specification forbids.",
  },
  CEC3011: { title: "Nesting too deep", text: "Messages of a protobuf file nest at most 100 deep, which leaves about 30 levels of control flow." },
  CEC3012: { title: "Model cannot be written at this opset", text: "An operator or type needs a newer opset than the one asked for." },
  CEC3013: {
    title: "Graph is too large for one ONNX file",
    text: "A protobuf file holds at most 2 GiB; larger weights are written as external data.",
  },
} as const satisfies Record<string, CodeText>;
