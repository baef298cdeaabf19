/**
 * The IR's text form, `cir 1`. `parse(print(g))` equals `g`; the text is deterministic and never holds the bytes of large constants: they are
 * named by SHA-256 and live in a blob store beside the text.
 */
import type { AttrValue, Graph, Json, Op, Value } from "./graph.js";
import { constantTensor } from "./graph.js";
import { type Blob, countOf, toNumbers } from "./tensor.js";
import { elementTypes, formatType, isFloat } from "./types.js";

/** Constants of up to this many elements are printed in place as `dense [...]`. */
const DENSE_LIMIT = 16;
/** Constants up to this many elements get a comment with their range. */
const RANGE_LIMIT = 1 << 22;

const bare = /^[A-Za-z_][\w.$/:-]*$/;
export const printName = (name: string): string => (bare.test(name) || /^\d+$/.test(name) ? `%${name}` : `%${JSON.stringify(name)}`);

/** Numbers that JSON cannot write keep their IEEE names. */
export function printNumber(v: number): string {
  if (Number.isNaN(v)) return "nan";
  if (v === Number.POSITIVE_INFINITY) return "inf";
  if (v === Number.NEGATIVE_INFINITY) return "-inf";
  return Object.is(v, -0) ? "-0" : String(v);
}

const isBlob = (v: AttrValue): v is Blob => typeof v === "object" && "hash" in v;

function printAttr(v: AttrValue): string {
  if (typeof v === "number") return printNumber(v);
  if (typeof v === "string") return JSON.stringify(v);
  if (typeof v === "boolean") return String(v);
  if (isBlob(v)) return `blob sha256:${v.hash()}`;
  return `[${v.map((e) => (typeof e === "number" ? printNumber(e) : JSON.stringify(e))).join(", ")}]`;
}

function printAttrs(op: Op): string {
  const keys = Object.keys(op.attrs).sort();
  return keys.length === 0 ? "" : ` {${keys.map((k) => `${k}=${printAttr(op.attrs[k] as AttrValue)}`).join(", ")}}`;
}

const sortedJson = (v: Json): Json => {
  if (v === null || typeof v !== "object") return v;
  if (Array.isArray(v)) return v.map(sortedJson);
  return Object.fromEntries(
    Object.entries(v)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([k, e]) => [k, sortedJson(e as Json)]),
  );
};

function printConstant(op: Op): string {
  const value = op.outputs[0] as Value;
  const { type } = value;
  if (type.kind !== "tensor" || op.data === undefined) return "";
  const n = countOf((type.shape ?? []) as number[]);
  const numeric = type.elem !== "string" && elementTypes[type.elem].kind !== "complex";
  if (numeric && n <= DENSE_LIMIT) {
    const t = constantTensor(value);
    if (t !== null) {
      const plain = elementTypes[type.elem].kind === "float" ? Array.from(toNumbers(t), printNumber) : Array.from(t.data as BigInt64Array, String);
      // A NaN's payload is not in its text: such constants are named by their bytes.
      if (!plain.includes("nan")) return `dense [${plain.join(", ")}]`;
    }
  }
  let comment = "";
  if (isFloat(type.elem) && n > 0 && n <= RANGE_LIMIT) {
    const t = constantTensor(value);
    if (t !== null) {
      const v = toNumbers(t);
      let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const e of v) {
        if (e < low) low = e;
        if (e > high) high = e;
      }
      comment = `   // min=${Number(low.toPrecision(4))} max=${Number(high.toPrecision(4))}`;
    }
  }
  return `blob sha256:${op.data.hash()}${comment}`;
}

function printOp(op: Op, indent: string): string[] {
  const doc = op.doc === undefined ? "" : ` doc=${JSON.stringify(op.doc)}`;
  const notes = Object.keys(op.annotations).length === 0 ? "" : ` !${JSON.stringify(sortedJson(op.annotations as Json))}`;
  const name = op.name === "" ? "" : `   @${JSON.stringify(op.name)}`;
  const loc = op.loc === undefined ? "" : ` loc=${JSON.stringify([op.loc.file, op.loc.line ?? 0, op.loc.column ?? 0])}`;
  if (op.kind === "constant") {
    const v = op.outputs[0] as Value;
    const [value, comment = ""] = printConstant(op).split("   //");
    return [
      `${indent}const ${printName(v.name)} : ${formatType(v.type)} = ${value}${name}${loc}${doc}${notes}${comment === "" ? "" : `   //${comment}`}`,
    ];
  }
  const results = op.outputs.length === 0 ? "" : `${op.outputs.map((v) => printName(v.name)).join(", ")} = `;
  const operands = op.inputs.map((v) => (v === null ? "_" : printName(v.name))).join(", ");
  const types = op.outputs.length === 0 ? "" : ` : ${op.outputs.map((v) => formatType(v.type)).join(", ")}`;
  const head = `${indent}${results}${op.kind}${operands === "" ? "" : ` ${operands}`}${printAttrs(op)}${types}${name}${loc}${doc}${notes}`;
  if (op.regions.length === 0) return [head];
  return [`${head} (`, ...op.regions.flatMap((r) => printBody(r, `${indent}  `)), `${indent})`];
}

function printBody(graph: Graph, indent: string): string[] {
  const meta = Object.keys(graph.meta).length === 0 ? [] : [`${indent}  meta ${printMeta(graph)}`];
  const inside = `${indent}  `;
  return [
    `${indent}graph @${JSON.stringify(graph.name)} level=${graph.level} {`,
    ...meta,
    ...graph.inputs.map(
      (v) => `${inside}in ${printName(v.name)} : ${formatType(v.type)}${v.doc === undefined ? "" : ` doc=${JSON.stringify(v.doc)}`}`,
    ),
    ...graph.ops.flatMap((op) => printOp(op, inside)),
    ...graph.outputs.map((o) => `${inside}out ${printName(o.value.name)} as ${JSON.stringify(o.name)}`),
    `${indent}}`,
  ];
}

function printMeta(graph: Graph): string {
  const { functions, ...rest } = graph.meta;
  return JSON.stringify(
    sortedJson({ ...(rest as Record<string, Json>), ...(functions === undefined ? {} : { functions: functions.map((f) => f.hash()) }) }),
  );
}

/** The whole graph as text. */
export function printGraph(graph: Graph): string {
  const pipeline = graph.pipeline.length === 0 ? [] : [`// pipeline: ${graph.pipeline.join(",")}`];
  return `${["cir 1", ...pipeline, ...printBody(graph, "")].join("\n")}\n`;
}

/** All blobs that the text of a graph names, by SHA-256: what a reproducer stores beside the text. */
export function blobsOf(graph: Graph): Map<string, Blob> {
  const out = new Map<string, Blob>();
  const add = (b: Blob): void => {
    out.set(b.hash(), b);
  };
  const visit = (g: Graph): void => {
    for (const f of g.meta.functions ?? []) add(f);
    for (const op of g.ops) {
      if (op.data !== undefined) add(op.data);
      for (const v of Object.values(op.attrs)) if (isBlob(v)) add(v);
      op.regions.forEach(visit);
    }
  };
  visit(graph);
  return out;
}
