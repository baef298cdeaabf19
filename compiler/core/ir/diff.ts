/**
 * Structural comparison of two graphs, for `cec diff` and for tests of passes.
 *
 * Ops are paired first (by name, then by their place between ops that are paired already), then each pair is compared. Names of values, order of
 * independent ops, locations, doc strings and metadata are no differences unless asked for. No difference means: each op of one graph stands for exactly
 * one op of the other, with the same attributes, operands, types and constants.
 */
import type { AttrValue, Graph, Json, ModelMeta, Op, Value } from "./graph.js";
import { hashOps } from "./hash.js";
import { formatAttr, formatAttrs, formatJson, isBlob } from "./print.js";
import { fromBytes, type Tensor, toNumbers } from "./tensor.js";
import { formatNumber, quote } from "./text.js";
import { formatType, isFloat, isStatic } from "./types.js";

export interface DiffOptions {
  /** Compare op names. Default true. */
  readonly names?: boolean;
  /** Compare locations and doc strings of ops. Default false. */
  readonly locations?: boolean;
  /** Compare facts about the model file. Default false. */
  readonly meta?: boolean;
  /** Float constants may differ by this much of the larger constant's greatest magnitude. Default 0: equal bytes. */
  readonly tolerance?: number;
}

export interface GraphDifference {
  readonly what: "level" | "meta" | "input" | "output" | "op";
  /** `- ` only in the first, `+ ` only in the second, `~ ` in both but not the same. */
  readonly message: string;
}

const label = (op: Op): string => `${op.kind} ${quote(op.name || (op.outputs[0]?.name ?? ""))}`;

function describe(op: Op): string {
  const operands = op.inputs.map((v) => (v === null ? "_" : `%${v.name}`)).join(", ");
  const types = op.outputs.map((v) => formatType(v.type)).join(", ");
  return `${label(op)}${operands === "" ? "" : ` (${operands})`}${formatAttrs(op.attrs)} : ${types}`;
}

// Pairing

interface Pairing {
  readonly ops: Map<Op, Op>;
  readonly values: Map<Value, Value>;
}

const namesOf = (graph: Graph): Map<string, Op[]> => {
  const found = new Map<string, Op[]>();
  for (const op of graph.ops) {
    if (op.name === "") continue;
    const same = found.get(op.name);
    if (same === undefined) found.set(op.name, [op]);
    else same.push(op);
  }
  return found;
};

function pairGraphs(a: Graph, b: Graph): Pairing {
  const ops = new Map<Op, Op>();
  const values = new Map<Value, Value>();
  const taken = new Set<Op>();
  const [namesA, namesB] = [namesOf(a), namesOf(b)];
  const free = (x: Op, y: Op): boolean => x.kind === y.kind && !ops.has(x) && !taken.has(y);
  /** By place alone, ops are paired unless their names say that each has another partner. */
  const alike = (x: Op, y: Op): boolean => free(x, y) && (x.name === y.name || !(namesB.has(x.name) || namesA.has(y.name)));

  const work: [Op, Op][] = [];
  const pair = (x: Op, y: Op): void => {
    ops.set(x, y);
    taken.add(y);
    x.outputs.forEach((v, i) => {
      const w = y.outputs[i];
      if (w !== undefined) values.set(v, w);
    });
    work.push([x, y]);
  };
  /** Producers of the operands of what was paired, upwards. */
  const climb = (): void => {
    for (let next = work.pop(); next !== undefined; next = work.pop()) {
      const [x, y] = next;
      x.inputs.forEach((v, i) => {
        const [p, q] = [v?.producer, y.inputs[i]?.producer];
        if (p != null && q != null && v?.index === y.inputs[i]?.index && alike(p, q)) pair(p, q);
      });
    }
  };

  const inputsB = new Map(b.inputs.map((v) => [v.name, v]));
  for (const v of a.inputs) {
    const w = inputsB.get(v.name);
    if (w !== undefined) values.set(v, w);
  }
  for (const [name, [x, ...moreA]] of namesA) {
    const [y, ...moreB] = namesB.get(name) ?? [];
    if (x !== undefined && y !== undefined && moreA.length === 0 && moreB.length === 0 && free(x, y)) pair(x, y);
  }
  climb();
  a.outputs.forEach((o, i) => {
    const [p, q] = [o.value.producer, b.outputs[i]?.value.producer];
    if (p != null && q != null && alike(p, q)) pair(p, q);
  });
  climb();
  // Downwards: readers of paired values, at the same operand.
  for (const x of a.ops) {
    if (ops.has(x)) continue;
    const at = x.inputs.findIndex((v) => v !== null && values.has(v));
    if (at < 0) continue;
    const y = b.users(values.get(x.inputs[at] as Value) as Value).find((u) => alike(x, u) && u.inputs[at] === values.get(x.inputs[at] as Value));
    if (y !== undefined) {
      pair(x, y);
      climb();
    }
  }
  // What is left (dead ops, constants read by unlike ops): by all that they compute, then by the name of the value.
  const leftB = b.ops.filter((y) => !taken.has(y));
  if (leftB.length > 0) {
    const [hashA, hashB] = [hashOps(a), hashOps(b)];
    for (const key of [(op: Op, hashes: Map<Op, string>) => hashes.get(op) as string, (op: Op) => `${op.kind} ${op.outputs[0]?.name ?? ""}`]) {
      const waiting = new Map<string, Op[]>();
      for (const y of leftB) {
        if (taken.has(y)) continue;
        const k = key(y, hashB);
        const same = waiting.get(k);
        if (same === undefined) waiting.set(k, [y]);
        else same.push(y);
      }
      for (const x of a.ops) {
        if (ops.has(x)) continue;
        const y = waiting.get(key(x, hashA))?.shift();
        if (y !== undefined && alike(x, y)) pair(x, y);
      }
      work.length = 0;
    }
  }
  return { ops, values };
}

// Comparison of pairs

const dataOf = (op: Op): Tensor | null => {
  const type = op.outputs[0]?.type;
  if (op.data === undefined || type?.kind !== "tensor" || !isStatic(type.shape)) return null;
  try {
    return fromBytes(type.elem, type.shape, op.data.bytes());
  } catch {
    return null;
  }
};

function dataDifference(x: Op, y: Op, tolerance: number): string | null {
  // A constant without bytes stands in an expectation: any will do.
  if (x.data === undefined || y.data === undefined) return null;
  if (x.data.byteLength === y.data.byteLength && x.data.hash() === y.data.hash()) return null;
  const [s, t] = [dataOf(x), dataOf(y)];
  if (s === null || t === null || s.type !== t.type || s.data.length !== t.data.length || s.type === "string") return "other bytes";
  const [p, q] = [toNumbers(s), toNumbers(t)];
  let [worst, at, top, count] = [0, -1, 0, 0];
  for (let i = 0; i < p.length; i++) {
    const [u, v] = [p[i] as number, q[i] as number];
    for (const w of [u, v]) if (Number.isFinite(w)) top = Math.max(top, Math.abs(w));
    if (Object.is(u, v)) continue;
    count++;
    const d = Number.isFinite(u) && Number.isFinite(v) ? Math.abs(u - v) : u === v ? 0 : Number.POSITIVE_INFINITY;
    if (d > worst || at < 0) [worst, at] = [d, i];
  }
  if (isFloat(s.type) && tolerance > 0 && worst <= tolerance * top) return null;
  if (at < 0) return "other bytes of the same values";
  return `${count} of ${p.length} elements differ, most at [${at}]: ${formatNumber(p[at] as number)} → ${formatNumber(q[at] as number)}`;
}

const sameAttr = (u: AttrValue | undefined, v: AttrValue | undefined): boolean =>
  u !== undefined && v !== undefined && isBlob(u) === isBlob(v) && formatAttr(u) === formatAttr(v);

function metaDifferences(a: ModelMeta, b: ModelMeta): string[] {
  const text = (v: unknown): string =>
    v === undefined ? "absent" : Array.isArray(v) ? v.map((x) => (isBlob(x) ? x.hash() : String(x))).join(", ") : formatJson(v as Json);
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].sort().flatMap((k) => {
    const [u, v] = [text(a[k as keyof ModelMeta]), text(b[k as keyof ModelMeta])];
    return u === v ? [] : [`${k}: ${u} → ${v}`];
  });
}

/**
 * What differs between two graphs, in reading order; empty when they are the same structure.
 * @param b where a graph is held against an expectation, the expectation: its constants without bytes match any
 */
export function diffGraphs(a: Graph, b: Graph, options: DiffOptions = {}): GraphDifference[] {
  const { names = true, locations = false, meta = false, tolerance = 0 } = options;
  const out: GraphDifference[] = [];
  const say = (what: GraphDifference["what"], message: string): void => {
    out.push({ what, message });
  };
  if (a.level !== b.level) say("level", `~ level: ${a.level} → ${b.level}`);
  if (meta) for (const m of metaDifferences(a.meta, b.meta)) say("meta", `~ meta ${m}`);
  const inputsB = new Map(b.inputs.map((v) => [v.name, v]));
  a.inputs.forEach((v, i) => {
    const w = inputsB.get(v.name);
    if (w === undefined) {
      say("input", `- input ${quote(v.name)}: ${formatType(v.type)}`);
      return;
    }
    if (formatType(v.type) !== formatType(w.type)) say("input", `~ input ${quote(v.name)}: ${formatType(v.type)} → ${formatType(w.type)}`);
    if (w.index !== i) say("input", `~ input ${quote(v.name)}: place ${i} → ${w.index}`);
    if (meta && v.doc !== w.doc) say("input", `~ input ${quote(v.name)}: doc string`);
  });
  const inputsA = new Set(a.inputs.map((v) => v.name));
  for (const w of b.inputs) if (!inputsA.has(w.name)) say("input", `+ input ${quote(w.name)}: ${formatType(w.type)}`);

  const { ops, values } = pairGraphs(a, b);
  for (const x of a.ops) {
    const y = ops.get(x);
    if (y === undefined) {
      say("op", `- ${describe(x)}`);
      continue;
    }
    const differs = (what: string): void => say("op", `~ ${label(x)}: ${what}`);
    if (names && x.name !== y.name) differs(`name ${quote(x.name)} → ${quote(y.name)}`);
    for (const k of [...new Set([...Object.keys(x.attrs), ...Object.keys(y.attrs)])].sort()) {
      const [u, v] = [x.attrs[k], y.attrs[k]];
      if (!sameAttr(u, v)) differs(`attribute ${k}: ${u === undefined ? "absent" : formatAttr(u)} → ${v === undefined ? "absent" : formatAttr(v)}`);
    }
    for (let i = 0; i < Math.max(x.inputs.length, y.inputs.length); i++) {
      const [u, v] = [x.inputs[i] ?? null, y.inputs[i] ?? null];
      const same = u === null ? v === null : values.get(u) === v;
      if (!same) differs(`operand ${i}: ${u === null ? "absent" : `%${u.name}`} → ${v === null ? "absent" : `%${v.name}`}`);
    }
    if (x.outputs.length !== y.outputs.length) differs(`${x.outputs.length} → ${y.outputs.length} results`);
    x.outputs.forEach((v, i) => {
      const w = y.outputs[i];
      if (w !== undefined && formatType(v.type) !== formatType(w.type)) differs(`type ${formatType(v.type)} → ${formatType(w.type)}`);
    });
    if (x.kind === "constant") {
      const d = dataDifference(x, y, tolerance);
      if (d !== null) differs(d);
    }
    const [n, m] = [formatJson(x.annotations), formatJson(y.annotations)];
    if (n !== m) differs(`annotations ${n} → ${m}`);
    if (locations && (x.doc !== y.doc || JSON.stringify(x.loc) !== JSON.stringify(y.loc))) differs("location or doc string");
    if (x.regions.length !== y.regions.length) differs(`${x.regions.length} → ${y.regions.length} regions`);
    x.regions.forEach((r, i) => {
      const s = y.regions[i];
      if (s !== undefined) for (const d of diffGraphs(r, s, options)) say(d.what, `~ ${label(x)}, region ${i}: ${d.message}`);
    });
  }
  const paired = new Set(ops.values());
  for (const y of b.ops) if (!paired.has(y)) say("op", `+ ${describe(y)}`);

  for (let i = 0; i < Math.max(a.outputs.length, b.outputs.length); i++) {
    const [o, p] = [a.outputs[i], b.outputs[i]];
    if (p === undefined) say("output", `- output ${quote(o?.name ?? "")}`);
    else if (o === undefined) say("output", `+ output ${quote(p.name)}`);
    else if (o.name !== p.name) say("output", `~ output ${i}: ${quote(o.name)} → ${quote(p.name)}`);
    else if (values.get(o.value) !== p.value) say("output", `~ output ${quote(o.name)}: reads %${o.value.name} → %${p.value.name}`);
  }
  return out;
}
