/**
 * What training goes on from. One file: "CECT", u32 length of a JSON header, the header, the tensors' bytes, SHA-256 of all before. It is written beside its name and
 * renamed, so that what stands there is whole whenever the process dies.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { fail, fromBytes, type Tensor, toBytes } from "../../core/index.js";
import { writeFileAtomic } from "../files.js";

/** All that going on with training needs. */
export interface Checkpoint {
  /** Hash of everything that the course of training depends on. */
  readonly key: string;
  /** Steps done. */
  readonly step: number;
  readonly done: boolean;
  readonly best: { readonly step: number; readonly top1: number; readonly since: number } | null;
  readonly loss: number;
  readonly firstLoss: number;
  /** Steps skipped, and the sum of shares of gradients that became 0, over the others. */
  readonly skipped: number;
  readonly underflow: number;
  readonly states: ReadonlyMap<string, Tensor>;
  /** States at the best measurement. */
  readonly bestStates: ReadonlyMap<string, Tensor>;
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
  return { ...facts, ...groups };
}
