/**
 * Structural hash of graphs: over what ops compute, not over the names of values, nor the order of ops that do not depend on each other.
 *
 * Each op has a hash of its kind, attributes, types, constant bytes and, through its operands, of all that it depends on (a Merkle tree).
 * The graph's hash is over its inputs, its outputs and the sorted hashes of *all* ops with the number of reads of each result, so that dead ops and
 * ops that stand twice where once would do change it.
 */
import { createHash } from "node:crypto";
import type { Graph, Op, Value } from "./graph.js";
import { formatAttrs, formatJson } from "./print.js";
import type { Blob } from "./tensor.js";
import { formatType } from "./types.js";

export interface HashOptions {
  /** Also over op names, which reports and overrides speak of. Default false. */
  readonly names?: boolean;
  /** How a constant's bytes are told apart. Default: their SHA-256. */
  readonly blob?: (blob: Blob) => string;
}

const digest = (parts: readonly string[]): string => {
  // Length before text: no choice of texts can make two lists look alike.
  let text = "";
  for (const p of parts) text += `${p.length}:${p}`;
  return createHash("sha256").update(text).digest("hex");
};

/** The hash of each op of a graph: of itself and of all that it depends on. */
export function hashOps(graph: Graph, options: HashOptions = {}): Map<Op, string> {
  const blob = options.blob ?? ((b: Blob): string => b.hash());
  const values = new Map<Value, string>();
  for (const v of graph.inputs) values.set(v, digest(["input", String(v.index), v.name, formatType(v.type)]));
  const ops = new Map<Op, string>();
  for (const op of graph.ops) {
    const own = digest([
      op.kind,
      String(op.inputs.length),
      ...op.inputs.map((v) => (v === null ? "_" : (values.get(v) ?? "?"))),
      formatAttrs(op.attrs),
      op.data === undefined ? "" : blob(op.data),
      formatJson(op.annotations),
      options.names === true ? op.name : "",
      ...op.outputs.map((v) => formatType(v.type)),
      ...op.regions.map((r) => hashGraph(r, options)),
    ]);
    ops.set(op, own);
    for (const v of op.outputs) values.set(v, `${own}.${v.index}`);
  }
  return ops;
}

/** SHA-256, hex, of a graph's structure. See the head of this file. */
export function hashGraph(graph: Graph, options: HashOptions = {}): string {
  const ops = hashOps(graph, options);
  const reads = new Map<Value, number>();
  const read = (v: Value | null): void => {
    if (v !== null) reads.set(v, (reads.get(v) ?? 0) + 1);
  };
  for (const op of graph.ops) op.inputs.forEach(read);
  for (const o of graph.outputs) read(o.value);
  const all = [...ops].map(([op, hash]) => `${hash} ${op.outputs.map((v) => reads.get(v) ?? 0).join(",")}`).sort();
  const source = (v: Value): string => (v.producer === null ? `input ${v.index}` : `${ops.get(v.producer) ?? "?"}.${v.index}`);
  return digest([
    graph.level,
    ...graph.inputs.flatMap((v) => ["in", v.name, formatType(v.type)]),
    ...graph.outputs.flatMap((o) => ["out", o.name, source(o.value)]),
    ...all,
  ]);
}
