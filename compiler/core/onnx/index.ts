/** ONNX files: reading into the IR, writing from it. */

export { elementNumbers } from "./elements.js";
export { DEFAULT_OPSET, type ExportedModel, type ExportOptions, exportOnnx, NEWEST_EXPORT, needsExternalData, OLDEST_EXPORT } from "./export.js";
export { type ImportOptions, importOnnx, importOnnxFile, importTensor, NEWEST_OPSET, OLDEST_OPSET } from "./import.js";
export { kindOf, opTypes } from "./op-types.js";
