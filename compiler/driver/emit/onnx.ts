/** Writing ONNX files, with the weights of large models in a file beside. */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { exportOnnx, type Graph, needsExternalData } from "../../core/index.js";

/** Bytes of one write of external weights. */
const CHUNK = 1 << 24;

/** Writes the model, and `NAME.data` beside it where it is too large for one file. Gives the opset and why it was raised. */
export function writeOnnx(graph: Graph, file: string, opset: number): { readonly opset: number; readonly raised: readonly string[] } {
  const model = exportOnnx(graph, { opset, ...(needsExternalData(graph) ? { externalData: `${basename(file)}.data` } : {}) });
  if (model.external !== null) {
    const fd = openSync(join(dirname(file), model.external.name), "w");
    try {
      for (const { offset, blob } of model.external.parts) {
        const bytes = blob.bytes();
        for (let at = 0; at < bytes.length; at += CHUNK) writeSync(fd, bytes, at, Math.min(CHUNK, bytes.length - at), offset + at);
      }
    } finally {
      closeSync(fd);
    }
  }
  writeFileSync(file, model.bytes);
  return { opset: model.opset, raised: model.raised };
}
