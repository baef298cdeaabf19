/** CIFAR-10, binary version: records of one label byte and 3 × 32 × 32 pixels, planes R, G, B (Krizhevsky 2009, `data_batch_*.bin`, `test_batch.bin`). */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { fail } from "../../core/index.js";
import type { Dataset } from "./dataset.js";
import { fileSize, readRange } from "./files.js";
import { normalizeOptions, pixelTable, writePixels } from "./normalize.js";

const RECORD = 1 + 3 * 32 * 32;
const CLASSES = 10;

export const cifar10Options = z
  .object({
    path: z.string().describe("folder with data_batch_1.bin … and test_batch.bin"),
    split: z.enum(["train", "test"]).default("test").describe("which files: data_batch_* or test_batch"),
    ...normalizeOptions,
  })
  .strict();

export function openCifar10(name: string, o: z.infer<typeof cifar10Options>): Dataset {
  const what = `data set ${name}`;
  const candidates = o.split === "test" ? ["test_batch.bin"] : [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`);
  const files = candidates.map((f) => join(o.path, f)).filter((f, i) => i === 0 || existsSync(f));
  const parts = files.map((path) => {
    const bytes = fileSize(path, what);
    if (bytes === 0 || bytes % RECORD !== 0) {
      fail("CEC5002", {
        message: `${what}: ${path} is not a CIFAR-10 binary file`,
        why: `its ${bytes} bytes are no multiple of the record size ${RECORD}`,
        help: "use the binary version of CIFAR-10; the file may be truncated",
      });
    }
    return { path, count: bytes / RECORD };
  });
  const size = parts.reduce((n, p) => n + p.count, 0);
  const table = pixelTable(o, 3);
  return {
    name,
    size,
    shapes: { [o.input]: o.layout === "nchw" ? [3, 32, 32] : [32, 32, 3] },
    hasLabels: true,
    async read(start, count) {
      const data = new Float32Array(count * 3072);
      const labels = new Int32Array(count);
      let done = 0;
      let skipped = 0;
      for (const part of parts) {
        const from = start + done - skipped;
        if (from < part.count && done < count) {
          const n = Math.min(count - done, part.count - from);
          const bytes = readRange(part.path, from * RECORD, n * RECORD, what);
          for (let i = 0; i < n; i++) {
            const label = bytes[i * RECORD] as number;
            if (label >= CLASSES) {
              fail("CEC5003", {
                message: `${what}: ${part.path} record ${from + i} has label ${label}`,
                why: "CIFAR-10 labels are 0 to 9",
                help: "the file is damaged or of another kind (CIFAR-100 has two label bytes)",
              });
            }
            labels[done] = label;
            writePixels(data, done * 3072, bytes.subarray(i * RECORD + 1, (i + 1) * RECORD), 3, 1024, table, true, o.layout);
            done++;
          }
        }
        skipped += part.count;
      }
      const dims = o.layout === "nchw" ? [count, 3, 32, 32] : [count, 32, 32, 3];
      return { arrays: { [o.input]: { type: "f32", dims, data } }, labels };
    },
  };
}
