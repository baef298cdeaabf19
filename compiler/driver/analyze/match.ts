/**
 * Finds for each op of the source its counterpart in the compressed model: by node name, by the name of its result, or by its place (same kind, reading the
 * counterparts of what it reads). Both graphs come in the same normal form, so that folded BatchNorms and fused activations are no difference.
 */
import { constantTensor, type Graph, isConstant, type Op, toNumbers, type Value } from "../../core/index.js";

/** An op without counterpart, and why. */
export interface Unmatched {
  readonly op: string;
  readonly kind: string;
  readonly side: "source" | "compressed";
  readonly reason: string;
}

/** Counterparts of ops and values. */
export interface Matching {
  /** Op of the source → op of the compressed model. */
  readonly ops: ReadonlyMap<Op, Op>;
  /** Value of the compressed model → value of the source. */
  readonly values: ReadonlyMap<Value, Value>;
  readonly unmatched: readonly Unmatched[];
}

/** How messages name an op: by its name, its result, or its kind. */
export const nameOf = (op: Op): string => op.name || (op.outputs[0]?.name ?? op.kind);
const dims = (v: Value | null | undefined): string => (v?.type.kind === "tensor" ? `[${v.type.shape?.join(", ") ?? "?"}]` : "[?]");
const dataInputs = (op: Op): Value[] => op.inputs.filter((v): v is Value => v !== null && !isConstant(v));
const commutes: ReadonlySet<string> = new Set(["add", "mul", "max", "min", "sum"]);

/** Why two ops of one kind cannot be the same layer; `null` when they can. */
function conflict(s: Op, c: Op): string | null {
  for (const [i, v] of s.inputs.entries()) {
    const w = c.inputs[i];
    // Shapes of constants decide; a bias may have been added or folded away.
    if (isConstant(v) && isConstant(w) && i === 1 && dims(v) !== dims(w)) return `its weights are ${dims(w)}, those of the source ${dims(v)}`;
  }
  for (const a of ["strides", "dilations", "group", "pads", "axis", "perm", "kernel_shape"]) {
    const [p, q] = [s.attrs[a], c.attrs[a]];
    if (p !== undefined && q !== undefined && String(p) !== String(q)) return `its ${a} is ${q}, that of the source ${p}`;
  }
  return null;
}

/** Cosine of the weights: decides between several ops that read the same value. */
export function likeness(s: Op, c: Op): number {
  const [a, b] = [constantTensor(s.inputs[1]), constantTensor(c.inputs[1])];
  if (a === null || b === null || a.data.length !== b.data.length || a.type === "string") return 0;
  const [x, y] = [toNumbers(a), toNumbers(b)];
  let [dot, xx, yy] = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const [p, q] = [x[i] as number, y[i] as number];
    dot += p * q;
    xx += p * p;
    yy += q * q;
  }
  return xx > 0 && yy > 0 ? dot / Math.sqrt(xx * yy) : 0;
}

/**
 * @param source in normal form
 * @param compressed in normal form, without quantizers
 */
export function matchGraphs(source: Graph, compressed: Graph): Matching {
  const ops = new Map<Op, Op>();
  const taken = new Map<Op, Op>();
  const reasons = new Map<Op, string>();
  const toSource = new Map<Value, Value>();
  for (const [i, v] of compressed.inputs.entries()) {
    const named = source.inputs.find((w) => w.name === v.name) ?? (source.inputs.length === compressed.inputs.length ? source.inputs[i] : undefined);
    if (named !== undefined) toSource.set(v, named);
  }
  const byName = new Map(source.ops.filter((op) => op.kind !== "constant" && op.name !== "").map((op) => [op.name, op]));

  /** The counterparts of what `c` reads are what `s` reads, as far as they are known. */
  function readsAlike(s: Op, c: Op): boolean {
    const [a, b] = [dataInputs(s), dataInputs(c).map((v) => toSource.get(v))];
    if (a.length !== b.length) return false;
    if (b.every((v, i) => v === undefined || v === a[i])) return true;
    return commutes.has(s.kind) && b.every((v) => v === undefined || a.includes(v));
  }

  function partner(c: Op): Op | null {
    const named = [byName.get(c.name), source.value(c.outputs[0]?.name ?? "")?.producer ?? undefined];
    for (const s of named) {
      if (s === undefined || taken.has(s) || s.kind !== c.kind) continue;
      const why = conflict(s, c) ?? (readsAlike(s, c) ? null : "it has the name of an op of the source that reads something else");
      if (why === null) return s;
      reasons.set(c, why);
    }
    const first = dataInputs(c)
      .map((v) => toSource.get(v))
      .find((v) => v !== undefined);
    if (first === undefined) return null;
    const fitting = source
      .users(first)
      .filter((s) => s.kind === c.kind && !taken.has(s) && dataInputs(c).every((v) => toSource.has(v)) && readsAlike(s, c));
    const possible = fitting.filter((s) => conflict(s, c) === null);
    if (possible.length === 0 && fitting[0] !== undefined) reasons.set(c, conflict(fitting[0], c) as string);
    if (possible.length < 2) return possible[0] ?? null;
    return possible.map((s) => ({ s, like: likeness(s, c) })).reduce((a, b) => (b.like > a.like ? b : a)).s;
  }

  const unmatched: Unmatched[] = [];
  for (const c of compressed.ops) {
    if (c.kind === "constant") continue;
    const s = partner(c);
    if (s === null) {
      const known = dataInputs(c).every((v) => toSource.has(v));
      unmatched.push({
        op: nameOf(c),
        kind: c.kind === "carry" ? String(c.attrs["op_type"]) : c.kind,
        side: "compressed",
        reason:
          reasons.get(c) ??
          (known ? `no ${c.kind} of the source has its name or reads the same values` : "what it reads has no counterpart in the source"),
      });
      continue;
    }
    ops.set(s, c);
    taken.set(s, c);
    c.outputs.forEach((v, i) => {
      const w = s.outputs[i];
      if (w !== undefined) toSource.set(v, w);
    });
  }
  for (const s of source.ops)
    if (s.kind !== "constant" && !taken.has(s))
      unmatched.push({
        op: nameOf(s),
        kind: s.kind === "carry" ? String(s.attrs["op_type"]) : s.kind,
        side: "source",
        reason: "no op of the compressed model has its name or its place",
      });
  return { ops, values: toSource, unmatched };
}
