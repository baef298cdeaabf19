/** Outputs appear under their final name whole or not at all: written beside it under a temporary name, checked, then renamed. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CecError, fail } from "../core/index.js";

/** Temporary files of this process, removed on exit and on Ctrl-C. */
const pending = new Set<string>();

export const removePending = (): void => {
  for (const path of pending) rmSync(path, { force: true, recursive: true });
  pending.clear();
};
process.on("exit", removePending);

export interface StagedFile {
  /** Where to write. */
  readonly path: string;
  /** Renames into place. */
  commit(): void;
  discard(): void;
}

const cannotWrite = (path: string, error: unknown): never =>
  fail("CEC7004", {
    message: `cannot write ${path}`,
    why: (error as Error).message,
    help: "check that the folder exists, is writable, and that the disk has room",
  });

/** A folder and what is missing above it. One step at a time: Node's recursive mkdir never ends below /proc. */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let at = path; !existsSync(at) && dirname(at) !== at; at = dirname(at)) missing.push(at);
  try {
    for (const folder of missing.reverse()) mkdirSync(folder);
    if (!statSync(path).isDirectory()) throw new Error("it is a file");
  } catch (error) {
    cannotWrite(path, error);
  }
}

/** A temporary place for `final`, in the same folder so that the rename is atomic. Creates the folder. */
export function stage(final: string): StagedFile {
  const path = join(dirname(final), `.${basename(final)}.${process.pid}.tmp`);
  try {
    makeFolder(dirname(final));
    if (statSync(final, { throwIfNoEntry: false })?.isDirectory()) throw new Error("a folder of that name exists");
  } catch (error) {
    cannotWrite(final, error);
  }
  pending.add(path);
  return {
    path,
    commit() {
      try {
        renameSync(path, final);
        pending.delete(path);
      } catch (error) {
        cannotWrite(final, error);
      }
    },
    discard() {
      rmSync(path, { force: true });
      pending.delete(path);
    },
  };
}

export interface StagedFolder {
  /** Where to write, under final base names. */
  readonly path: string;
  /** The files so far, sorted. */
  files(): string[];
  /** Moves every file into place; gives their final paths. */
  commit(): string[];
  discard(): void;
}

/** A temporary folder beside `final`, for outputs of several files. */
export function stageFolder(final: string): StagedFolder {
  const folder = dirname(final);
  const path = join(folder, `.${basename(final)}.${process.pid}.tmp`);
  makeFolder(folder);
  try {
    mkdirSync(path, { recursive: true });
    if (statSync(final, { throwIfNoEntry: false })?.isDirectory()) throw new Error("a folder of that name exists");
  } catch (error) {
    rmSync(path, { force: true, recursive: true });
    cannotWrite(final, error);
  }
  pending.add(path);
  const discard = (): void => {
    rmSync(path, { force: true, recursive: true });
    pending.delete(path);
  };
  return {
    path,
    files: () =>
      readdirSync(path)
        .sort()
        .map((n) => join(path, n)),
    commit() {
      try {
        const names = readdirSync(path).sort();
        for (const name of names) renameSync(join(path, name), join(folder, name));
        discard();
        return names.map((name) => join(folder, name));
      } catch (error) {
        return cannotWrite(final, error);
      }
    },
    discard,
  };
}

/** Runs a write; what the file system refuses (disk full, no rights) becomes CEC7004. */
export async function writing<T>(final: string, write: () => T | Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    if (error instanceof CecError || typeof (error as NodeJS.ErrnoException).code !== "string") throw error;
    return cannotWrite(final, error);
  }
}

/** Writes a whole file atomically. */
export function writeFileAtomic(final: string, data: string | Uint8Array): void {
  const file = stage(final);
  try {
    writeFileSync(file.path, data);
    file.commit();
  } catch (error) {
    file.discard();
    if (error instanceof CecError) throw error;
    cannotWrite(final, error);
  }
}

export const sizeOf = (path: string): number => statSync(path).size;

export async function sha256File(path: string): Promise<string> {
  const h = createHash("sha256");
  for await (const chunk of createReadStream(path)) h.update(chunk as Uint8Array);
  return h.digest("hex");
}
