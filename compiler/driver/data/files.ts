/** Reading parts of data files, with errors in the user's terms. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { fail } from "../../core/index.js";

export function fileSize(path: string, what: string): number {
  try {
    const s = statSync(path);
    if (!s.isFile()) fail("CEC5001", { message: `${what}: ${path} is not a file`, help: "give the path of a data file" });
    return s.size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return fail("CEC5001", {
      message: `${what}: cannot read ${path}`,
      why: (error as Error).message,
      help: "check the path in the `data` block; a path with ${CEC_DATA} needs that variable set",
    });
  }
}

/** Bytes `[offset, offset + length)`. Fails when the file ends before. */
export function readRange(path: string, offset: number, length: number, what: string): Uint8Array {
  const out = new Uint8Array(length);
  const fd = openSync(path, "r");
  try {
    let done = 0;
    while (done < length) {
      const n = readSync(fd, out, done, length - done, offset + done);
      if (n === 0) {
        fail("CEC5002", {
          message: `${what}: ${path} ends too early`,
          why: `bytes ${offset} to ${offset + length} are needed, the file has ${offset + done}`,
          help: "the file is truncated or of another kind; fetch it again",
        });
      }
      done += n;
    }
  } finally {
    closeSync(fd);
  }
  return out;
}
