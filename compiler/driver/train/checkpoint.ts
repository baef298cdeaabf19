/**
 * What training goes on from. One file: "CECT", u32 length of a JSON header, the header, the tensors' bytes, SHA-256 of all before. It is written beside its name and
 * renamed, so that what stands there is whole whenever the process dies.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename } from "node:path";
import { fail, fromBytes, type Tensor, toBytes } from "../../core/index.js";
import { writeFileAtomic } from "../files.js";

/** All that going on with training needs. */
export interface Checkpoint {
  /** Hash of `parts`. */
  readonly key: string;
  /** Everything that the course of training depends on, by names of the plan; long things as hashes. */
  readonly parts: Readonly<Record<string, string>>;
  /** Steps done. */
  readonly step: number;
  readonly done: boolean;
  /** The best measurement, how many were made since, and the latest. */
  readonly best: { readonly step: number; readonly top1: number; readonly since: number; readonly latest: number } | null;
  readonly loss: number;
  readonly firstLoss: number;
  /** Steps skipped, and the sum of shares of gradients that became 0, over the others. */
  readonly skipped: number;
  readonly underflow: number;
  readonly states: ReadonlyMap<string, Tensor>;
  /** States at the best measurement. */
  readonly bestStates: ReadonlyMap<string, Tensor>;
}

/** Hash of what a course depends on. */
export const keyOf = (parts: Checkpoint["parts"]): string => createHash("sha256").update(JSON.stringify(parts)).digest("hex");

/** Where the checkpoint of another training is kept: `training.ckpt` as `training.1f2e3d4c.ckpt`. */
const asideOf = (path: string, key: string): string => path.replace(/(\.\w+)?$/, (end) => `.${key.slice(0, 8)}${end}`);

/** Values longer than this are not shown. */
const SHOWN = 40;

/** Names of what is not the same, with both values where they are short. */
function differences(then: Checkpoint["parts"], now: Checkpoint["parts"]): string {
  const names = [...new Set([...Object.keys(then), ...Object.keys(now)])].filter((n) => then[n] !== now[n]);
  const shown = (v: string | undefined): string => v ?? "not given";
  return names
    .map((n) => ([then[n], now[n]].some((v) => (v ?? "").length > SHOWN) ? n : `${n} (${shown(then[n])} there, ${shown(now[n])} here)`))
    .join(", ");
}

/**
 * The checkpoint to go on from, or `null`. One of another training (other settings, model or data) is not lost: it is kept aside by its key, and found there when
 * what it depends on is back.
 * @throws CecError as `readCheckpoint`
 */
export function findCheckpoint(path: string, parts: Checkpoint["parts"], warn: (code: string, message: string) => void): Checkpoint | null {
  const found = readCheckpoint(path);
  const key = keyOf(parts);
  if (found?.key === key) return found;
  const own = asideOf(path, key);
  const goesOn = existsSync(own);
  if (found !== null) {
    const kept = asideOf(path, found.key);
    renameSync(path, kept);
    warn(
      "CEC5007",
      `the checkpoint ${basename(path)} (step ${found.step}) is of another training: it is kept as ${basename(kept)}, and training ${goesOn ? `goes on from ${basename(own)}` : "starts anew"}; other are ${differences(found.parts, parts)}`,
    );
  }
  if (!goesOn) return null;
  renameSync(own, path);
  return readCheckpoint(path);
}

const MAGIC = "CECT";
const DIGEST = 32;

/** Writes under a temporary name and renames: a process that is killed leaves the old file or the new one. */
export function writeCheckpoint(path: string, c: Checkpoint): void {
  const tensors = [...[...c.states].map(([n, t]) => ["states", n, t] as const), ...[...c.bestStates].map(([n, t]) => ["bestStates", n, t] as const)];
  const { states: _, bestStates: __, ...facts } = c;
  const header = Buffer.from(
    JSON.stringify({ ...facts, tensors: tensors.map(([group, name, t]) => ({ group, name, type: t.type, dims: t.dims })) }),
    "utf8",
  );
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length);
  const body = Buffer.concat([Buffer.from(MAGIC), size, header, ...tensors.map(([, , t]) => toBytes(t))]);
  writeFileAtomic(path, Buffer.concat([body, createHash("sha256").update(body).digest()]));
}

/** @throws CecError CEC5006 for a file that is damaged, or a folder */
export function readCheckpoint(path: string): Checkpoint | null {
  if (!existsSync(path)) return null;
  if (statSync(path).isDirectory())
    fail("CEC5006", {
      message: `${path} is a folder`,
      why: "the checkpoint of the training is a file of this name",
      help: "give another `checkpoint`",
    });
  const bytes = readFileSync(path);
  const damaged = (why: string): never => fail("CEC5006", { message: `${path} is damaged`, why, help: "remove it to train from the start" });
  const body = bytes.subarray(0, Math.max(0, bytes.length - DIGEST));
  if (bytes.length < 8 + DIGEST || body.toString("latin1", 0, 4) !== MAGIC) return damaged("it is no checkpoint of cec");
  if (!createHash("sha256").update(body).digest().equals(bytes.subarray(body.length))) return damaged("its checksum does not hold");
  const length = body.readUInt32LE(4);
  const { tensors, ...facts } = JSON.parse(body.toString("utf8", 8, 8 + length)) as Omit<Checkpoint, "states" | "bestStates"> & {
    readonly tensors: readonly {
      readonly group: "states" | "bestStates";
      readonly name: string;
      readonly type: Tensor["type"];
      readonly dims: readonly number[];
    }[];
  };
  const groups = { states: new Map<string, Tensor>(), bestStates: new Map<string, Tensor>() };
  let at = 8 + length;
  for (const { group, name, type, dims } of tensors) {
    const n = dims.reduce((a, b) => a * b, 1) * (type === "f64" || type === "i64" ? 8 : 4);
    groups[group].set(name, fromBytes(type, dims, new Uint8Array(body.subarray(at, at + n))));
    at += n;
  }
  // Checkpoints of earlier builds have no parts.
  return { ...facts, parts: facts.parts ?? {}, ...groups };
}
