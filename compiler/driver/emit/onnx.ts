/** Writing ONNX files, with the weights of large models in a file beside. */
import { closeSync, openSync, writeSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { exportOnnx, type Graph, needsExternalData } from "../../core/index.js";

/** Writes the model, and `NAME.data` beside it where it is too large for one file. Gives the opset and why it was raised. */
export function writeOnnx(graph: Graph, file: string, opset: number): { readonly opset: number; readonly raised: readonly string[] } {
  const model = exportOnnx(graph, { opset, ...(needsExternalData(graph) ? { externalData: `${basename(file)}.data` } : {}) });
  if (model.external !== null) {
    const fd = openSync(join(dirname(file), model.external.name), "w");
    try {
      for (const { offset, blob } of model.external.parts) {
        let end = offset;
        for (const part of blob.chunks()) end += writeAt(fd, part, end);
      }
    } finally {
      closeSync(fd);
    }
  }
  const fd = openSync(file, "w");
  try {
    let at = 0;
    for (const piece of model.pieces) at += writeAt(fd, piece, at);
  } finally {
    closeSync(fd);
  }
  return { opset: model.opset, raised: model.raised };
}

/** All of `bytes`: one write takes less than 2 GiB, and may take less than asked for. */
function writeAt(fd: number, bytes: Uint8Array, position: number): number {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, Math.min(bytes.length - at, 1 << 30), position + at);
  return bytes.length;
}
