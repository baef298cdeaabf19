/** ONNX files: reading into the IR, writing from it. */

export { elementNumbers } from "./elements.js";
export { type ExportedModel, type ExportOptions, exportOnnx, needsExternalData } from "./export.js";
export { type ImportOptions, importOnnx, importOnnxFile, importTensor } from "./import.js";
export { kindOf, opTypes } from "./op-types.js";
export { DEFAULT_OPSET, NEWEST_EXPORT, NEWEST_OPSET, OLDEST_EXPORT, OLDEST_OPSET } from "./opsets.js";
