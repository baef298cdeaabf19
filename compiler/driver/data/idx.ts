/** IDX files (MNIST and kin): big-endian magic 0x00000803 for images, 0x00000801 for labels (LeCun, "THE MNIST DATABASE", file formats). */
import { z } from "zod";
import { fail } from "../../core/index.js";
import type { Dataset } from "./dataset.js";
import { fileSize, readRange } from "./files.js";
import { normalizeOptions, pixelTable, writePixels } from "./normalize.js";

export const idxOptions = z
  .object({
    images: z.string().describe("path of the images file (idx3-ubyte)"),
    labels: z.string().optional().describe("path of the labels file (idx1-ubyte)"),
    ...normalizeOptions,
  })
  .strict();

function header(path: string, rank: number, what: string): number[] {
  const size = fileSize(path, what);
  const view = new DataView(readRange(path, 0, 4 + 4 * rank, what).buffer);
  const magic = view.getUint32(0);
  if (magic !== 0x0800 + rank) {
    fail("CEC5002", {
      message: `${what}: ${path} is not an IDX file of ${rank} axes of bytes`,
      why: `it starts with 0x${magic.toString(16)}, expected 0x${(0x0800 + rank).toString(16)}`,
      help: "files that end in .gz have to be unpacked first",
    });
  }
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const want = 4 + 4 * rank + dims.reduce((a, b) => a * b, 1);
  if (want !== size)
    fail("CEC5002", {
      message: `${what}: ${path} has ${size} bytes`,
      why: `its header [${dims.join(", ")}] asks for ${want}`,
      help: "the file is truncated or damaged",
    });
  return dims;
}

export function openIdx(name: string, o: z.infer<typeof idxOptions>): Dataset {
  const what = `data set ${name}`;
  const [size = 0, rows = 0, columns = 0] = header(o.images, 3, what);
  if (o.labels !== undefined) {
    const [labels] = header(o.labels, 1, what);
    if (labels !== size)
      fail("CEC5003", { message: `${what}: ${size} images but ${labels} labels`, help: `${o.images} and ${o.labels} belong to different sets` });
  }
  const area = rows * columns;
  const table = pixelTable(o, 1);
  return {
    name,
    size,
    shapes: { [o.input]: o.layout === "nchw" ? [1, rows, columns] : [rows, columns, 1] },
    hasLabels: o.labels !== undefined,
    async read(start, count) {
      const pixels = readRange(o.images, 16 + start * area, count * area, what);
      const data = new Float32Array(count * area);
      for (let i = 0; i < count; i++) writePixels(data, i * area, pixels.subarray(i * area, (i + 1) * area), 1, area, table, true, o.layout);
      const labels = o.labels === undefined ? null : Int32Array.from(readRange(o.labels, 8 + start, count, what));
      return {
        arrays: { [o.input]: { type: "f32", dims: o.layout === "nchw" ? [count, 1, rows, columns] : [count, rows, columns, 1], data } },
        labels,
      };
    },
  };
}
