/** Structural hash and comparison: by what ops compute, not by the names of values. */
import { createHash } from "node:crypto";
import type { AttrValue, Graph, Op, Value } from "./graph.js";
import type { Blob } from "./tensor.js";
import { formatType } from "./types.js";

const attrText = (v: AttrValue): string => (typeof v === "object" && "hash" in v ? (v as Blob).hash() : JSON.stringify(v));

/** One hash per value: kind, attributes, types, constants and, through the operands' hashes, all that the value depends on. */
function valueHashes(graph: Graph): Map<Value, string> {
  const hashes = new Map<Value, string>();
  const digest = (parts: readonly string[]): string => createHash("sha256").update(parts.join("\u0000")).digest("hex");
  graph.inputs.forEach((v, i) => hashes.set(v, digest(["input", String(i), formatType(v.type)])));
  for (const op of graph.ops) {
    const own = opDigest(
      op,
      op.inputs.map((v) => (v === null ? "_" : (hashes.get(v) ?? "?"))),
      digest,
    );
    op.outputs.forEach((v, i) => hashes.set(v, digest([own, String(i), formatType(v.type)])));
  }
  return hashes;
}

const opDigest = (op: Op, operands: readonly string[], digest: (parts: readonly string[]) => string): string =>
  digest([
    op.kind,
    ...operands,
    ...Object.keys(op.attrs)
      .sort()
      .map((k) => `${k}=${attrText(op.attrs[k] as AttrValue)}`),
    op.data?.hash() ?? "",
    JSON.stringify(op.annotations),
    ...op.regions.map(hashGraph),
  ]);

/** SHA-256 over the graph's structure: equal for graphs that differ in value names and in the order of independent ops only. */
export function hashGraph(graph: Graph): string {
  const hashes = valueHashes(graph);
  const h = createHash("sha256").update(graph.level);
  for (const v of graph.inputs) h.update(`in ${v.name} ${formatType(v.type)}\n`);
  for (const o of graph.outputs) h.update(`out ${o.name} ${hashes.get(o.value)}\n`);
  return h.digest("hex");
}

export interface GraphDifference {
  readonly what: "input" | "output" | "op" | "level";
  readonly message: string;
}

const label = (op: Op): string => op.name || op.outputs[0]?.name || op.kind;
const describe = (op: Op): string => {
  const attrs = Object.keys(op.attrs)
    .sort()
    .map((k) => `${k}=${attrText(op.attrs[k] as AttrValue)}`);
  return `${op.kind}${attrs.length === 0 ? "" : ` {${attrs.join(", ")}}`} : ${op.outputs.map((v) => formatType(v.type)).join(", ")}`;
};

/**
 * What differs between two graphs, in reading order; empty when `hashGraph` agrees. Ops are paired by name, then by order within a kind; ops that
 * compute the same from the same operands are no difference wherever they stand.
 */
export function diffGraphs(a: Graph, b: Graph): GraphDifference[] {
  if (hashGraph(a) === hashGraph(b)) return [];
  const out: GraphDifference[] = [];
  if (a.level !== b.level) out.push({ what: "level", message: `level ${a.level} → ${b.level}` });
  const [ia, ib] = [a, b].map((g) => new Map(g.inputs.map((v) => [v.name, formatType(v.type)]))) as [Map<string, string>, Map<string, string>];
  for (const [n, t] of ia)
    if (ib.get(n) !== t) out.push({ what: "input", message: ib.has(n) ? `input ${n}: ${t} → ${ib.get(n)}` : `- input ${n}: ${t}` });
  for (const [n, t] of ib) if (!ia.has(n)) out.push({ what: "input", message: `+ input ${n}: ${t}` });
  const [ha, hb] = [valueHashes(a), valueHashes(b)];
  const key = (op: Op, hashes: Map<Value, string>): string => op.outputs.map((v) => hashes.get(v)).join();
  const inB = new Set(b.ops.map((op) => key(op, hb)));
  const inA = new Set(a.ops.map((op) => key(op, ha)));
  const gone = a.ops.filter((op) => !inB.has(key(op, ha)));
  const come = b.ops.filter((op) => !inA.has(key(op, hb)));
  const unpaired = new Set(come);
  for (const op of gone) {
    const other =
      [...unpaired].find((o) => o.kind === op.kind && label(o) === label(op)) ??
      [...unpaired].find((o) => o.kind === op.kind && describe(o) === describe(op));
    if (other === undefined) {
      out.push({ what: "op", message: `- ${label(op)}: ${describe(op)}` });
      continue;
    }
    unpaired.delete(other);
    if (describe(op) !== describe(other)) out.push({ what: "op", message: `~ ${label(op)}: ${describe(op)} → ${describe(other)}` });
    else if (op.kind === "constant" && op.data?.hash() !== other.data?.hash())
      out.push({ what: "op", message: `~ ${label(op)}: constant data differs (${formatType((op.outputs[0] as Value).type)})` });
    else if (JSON.stringify(op.annotations) !== JSON.stringify(other.annotations))
      out.push({ what: "op", message: `~ ${label(op)}: annotations differ` });
    else {
      const operands = (o: Op): string => o.inputs.map((v) => v?.name ?? "_").join(", ");
      if (operands(op) !== operands(other)) out.push({ what: "op", message: `~ ${label(op)}: operands ${operands(op)} → ${operands(other)}` });
    }
  }
  for (const op of unpaired) out.push({ what: "op", message: `+ ${label(op)}: ${describe(op)}` });
  a.outputs.forEach((o, i) => {
    const p = b.outputs[i];
    if (p === undefined) out.push({ what: "output", message: `- output ${o.name}` });
    else if (o.name !== p.name) out.push({ what: "output", message: `output ${o.name} → ${p.name}` });
  });
  b.outputs.slice(a.outputs.length).forEach((o) => out.push({ what: "output", message: `+ output ${o.name}` }));
  if (out.length === 0) out.push({ what: "output", message: "the graphs wire the same ops differently" });
  return out;
}
