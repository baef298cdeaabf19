/**
 * The text form of graphs, as `parse.ts` reads it (grammar: docs/ir-text.md).
 *
 *     cir 1
 *     // pipeline: import,infer-shapes
 *     graph @lenet level=float {
 *       in    %image   : f32[N, 1, 28, 28]
 *       const %conv1.w : f32[8, 1, 3, 3]  = blob sha256:5f0c…   // min=-0.41 max=0.38
 *       %1 = conv %image, %conv1.w {strides=[2,2]} : f32[N, 8, 13, 13]   @"conv1"
 *       out   %1
 *     }
 *
 * Printing is deterministic: one graph gives one text. Bytes are never inlined: a constant is named by the hash of its bytes, except that
 * constants of few elements (axes, shapes, scalars) are written as values.
 */
import type { Attrs, AttrValue, Graph, Json, ModelMeta, Op, Value } from "./graph.js";
import { type Blob, fromBytes, type Tensor, toBytes, toNumbers } from "./tensor.js";
import { formatF32, formatNumber, nameText, quote, wordText } from "./text.js";
import { byteSize, elementCount, formatDim, formatType, isFloat, isStatic, type TensorType } from "./types.js";
import { denseTensor } from "./values.js";

export interface PrintOptions {
  /** Constants of at most this many elements are written as values. */
  readonly inline?: number;
  /** Comment lines for the header, without `//` (reproducers: RUN lines, the failure). */
  readonly header?: readonly string[];
}

/** Covers shapes, axes, pads and scalars; a longer bias reads better as range and hash. */
const DEFAULT_INLINE = 16;
/** Largest constant, in bytes, whose range is computed for the comment. */
const RANGE_BYTES = 1 << 20;
const MAX_ALIGN = 24;

/** Words of the grammar: an op of such a kind is quoted. */
const reserved: ReadonlySet<string> = new Set(["in", "const", "out", "meta", "graph", "_", "loc", "doc", "ann", "regions", "is", "q"]);

export const isBlob = (v: unknown): v is Blob => typeof v === "object" && v !== null && typeof (v as Blob).hash === "function";
const blobText = (blob: Blob): string => `blob sha256:${blob.hash()}`;
const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : a > b ? 1 : 0);

/** JSON with bare keys where they are words, keys sorted. */
export function formatJson(json: Json): string {
  if (json === null) return "null";
  if (typeof json === "string") return quote(json);
  if (typeof json === "number") return formatNumber(json);
  if (typeof json === "boolean") return String(json);
  if (Array.isArray(json)) return `[${json.map(formatJson).join(", ")}]`;
  const fields = Object.entries(json as { readonly [key: string]: Json }).sort(byKey);
  return `{${fields.map(([k, v]) => `${wordText(k)}: ${formatJson(v)}`).join(", ")}}`;
}

/** An attribute's value as the text form writes it. */
export function formatAttr(value: AttrValue): string {
  if (isBlob(value)) return blobText(value);
  if (Array.isArray(value)) return `[${value.map((v: number | string) => (typeof v === "number" ? formatNumber(v) : quote(v))).join(",")}]`;
  return formatJson(value as Json);
}

/** ` {key=value, …}` in order of keys; nothing where there are none. */
export function formatAttrs(attrs: Attrs): string {
  const fields = Object.entries(attrs).sort(byKey);
  return fields.length === 0 ? "" : ` {${fields.map(([k, v]) => `${wordText(k)}=${formatAttr(v)}`).join(", ")}}`;
}

/** Elements as they are written: shortest decimals, integers in full. */
function elementTexts(t: Tensor): string[] {
  if (t.type === "string") return (t.data as readonly string[]).map(quote);
  if (t.type === "i64" || t.type === "u64") return Array.from(t.data as BigInt64Array, String);
  return Array.from(toNumbers(t), t.type === "f64" || t.type === "c128" ? formatNumber : formatF32);
}

const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => a.byteLength === b.byteLength && a.every((v, i) => v === b[i]);

/** `dense […]` when it gives back the very bytes (it does not for NaNs with a payload), else `null`. */
function denseText(type: TensorType, data: Blob): string | null {
  const dims = type.shape as readonly number[];
  const bytes = data.bytes();
  const held = fromBytes(type.elem, dims, bytes);
  const texts = elementTexts(held);
  const again = denseTensor(type.elem, dims, type.elem === "string" ? (held.data as readonly string[]) : texts);
  return again !== null && equalBytes(toBytes(again), bytes) ? `dense [${texts.join(", ")}]` : null;
}

function rangeComment(type: TensorType, data: Blob): string {
  if (!isFloat(type.elem) || data.byteLength > RANGE_BYTES || data.byteLength === 0) return "";
  let [min, max, nan] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
  for (const v of toNumbers(fromBytes(type.elem, type.shape as readonly number[], data.bytes()))) {
    if (Number.isNaN(v)) nan++;
    if (v < min) min = v;
    if (v > max) max = v;
  }
  const short = (v: number): string => formatNumber(Number(v.toPrecision(3)));
  return `   // min=${short(min)} max=${short(max)}${nan > 0 ? ` nan=${nan}` : ""}`;
}

/** True when the bytes are as many as the type takes, so that they can be decoded. A broken graph still prints, by hash. */
function decodable(type: Value["type"], data: Blob): type is TensorType {
  if (type.kind !== "tensor" || !isStatic(type.shape)) return false;
  return type.elem === "string" || data.byteLength === byteSize(type.elem, elementCount(type.shape) as number);
}

/** The initializer, and the comment that ends the line. */
function constantText(op: Op, inline: number): readonly [data: string, comment: string] {
  const type = (op.outputs[0] as Value).type;
  const data = op.data;
  if (data === undefined) return ["any", ""];
  if (!decodable(type, data)) return [blobText(data), ""];
  const dense = (elementCount(type.shape) as number) <= inline ? denseText(type, data) : null;
  return dense === null ? [blobText(data), rangeComment(type, data)] : [dense, ""];
}

const typeText = (v: Value): string => `${formatType(v.type)}${v.content === undefined ? "" : ` is [${v.content.map(formatDim).join(", ")}]`}`;

function locText(op: Op): string {
  if (op.loc === undefined) return "";
  const { file, line, column } = op.loc;
  const at = line === undefined ? "" : `:${line}${column === undefined ? "" : `:${column}`}`;
  return ` loc(${quote(file)}${at})`;
}

/** What follows the types: name, place, annotations, doc string. */
function tail(op: Op): string {
  const parts = [
    op.name === "" ? "" : ` @${quote(op.name)}`,
    locText(op),
    Object.keys(op.annotations).length === 0 ? "" : ` ann ${formatJson(op.annotations)}`,
    op.doc === undefined ? "" : ` doc ${quote(op.doc)}`,
  ].join("");
  return parts === "" ? "" : `  ${parts}`;
}

function metaText(meta: ModelMeta): string {
  const fields = Object.entries(meta).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (key === "functions") return [`${key}=[${(value as readonly Blob[]).map(blobText).join(", ")}]`];
    if (typeof value !== "object") return [`${key}=${formatJson(value as Json)}`];
    // Order is kept here: it is that of the file's entries.
    const entries = Object.entries(value as Record<string, Json>).map(([k, v]) => `${wordText(k)}: ${formatJson(v)}`);
    return [`${key}={${entries.join(", ")}}`];
  });
  return fields.length === 0 ? "" : `meta {${fields.join(", ")}}`;
}

function opText(op: Op, inline: number, indent: string): string {
  const results = op.outputs.map((v) => `%${nameText(v.name)}`).join(", ");
  const kind = reserved.has(op.kind) ? quote(op.kind) : wordText(op.kind);
  const operands = op.inputs.map((v) => (v === null ? "_" : `%${nameText(v.name)}`)).join(", ");
  const types = op.outputs.map(typeText).join(", ");
  const regions =
    op.regions.length === 0 ? "" : ` regions {\n${op.regions.map((r) => `${graphText(r, inline, `${indent}  `)}\n`).join("")}${indent}}`;
  const left = results === "" ? "" : `${results} = `;
  return `${left}${kind}${operands === "" ? "" : ` ${operands}`}${formatAttrs(op.attrs)}${types === "" ? "" : ` : ${types}`}${tail(op)}${regions}`;
}

interface Declaration {
  readonly word: string;
  readonly value: Value;
  readonly rest: string;
}

function graphText(graph: Graph, inline: number, indent: string): string {
  const inner = `${indent}  `;
  const lines: string[] = [];
  let block: Declaration[] = [];
  // Neighbouring declarations share one column for their types.
  const flush = (): void => {
    const width = Math.min(MAX_ALIGN, Math.max(0, ...block.map((d) => nameText(d.value.name).length)));
    for (const { word, value, rest } of block) {
      lines.push(`${inner}${word.padEnd(5)} %${nameText(value.name).padEnd(width)} : ${typeText(value)}${rest}`);
    }
    block = [];
  };
  const meta = metaText(graph.meta);
  if (meta !== "") lines.push(`${inner}${meta}`);
  for (const value of graph.inputs) block.push({ word: "in", value, rest: value.doc === undefined ? "" : `   doc ${quote(value.doc)}` });
  for (const op of graph.ops) {
    if (op.kind === "constant" && op.outputs.length === 1) {
      const [data, comment] = constantText(op, inline);
      block.push({ word: "const", value: op.outputs[0] as Value, rest: `  = ${data}${tail(op)}${comment}` });
    } else {
      flush();
      lines.push(`${inner}${opText(op, inline, inner)}`);
    }
  }
  flush();
  for (const { name, value } of graph.outputs) {
    const named = `%${nameText(value.name)}`;
    lines.push(`${inner}out   ${name === value.name ? named : `${quote(name)} = ${named}`}`);
  }
  return `${indent}graph @${nameText(graph.name)} level=${graph.level} {\n${lines.map((l) => `${l}\n`).join("")}${indent}}`;
}

const commentSafe = (text: string): string => text.replace(/[\r\n\u2028\u2029]+/g, " ");

/**
 * The graph as text. `parseGraph` reads it back to an equal graph, given a store that holds the constants' bytes.
 *
 * @example
 * const again = parseGraph(printGraph(graph), { blobs: blobStore(blobsOf(graph)) });
 */
export function printGraph(graph: Graph, options: PrintOptions = {}): string {
  const header = [
    ...(graph.pipeline.length === 0 ? [] : [`// pipeline: ${graph.pipeline.map((n) => n.replace(/[,\s]+/g, "_")).join(",")}`]),
    ...(options.header ?? []).map((line) => `// ${commentSafe(line)}`),
  ];
  return `${["cir 1", ...header, graphText(graph, options.inline ?? DEFAULT_INLINE, "")].join("\n")}\n`;
}

/** All blobs that the text of a graph may name, by SHA-256: constants, attributes, functions; those of regions too. */
export function blobsOf(graph: Graph): Map<string, Blob> {
  const found = new Map<string, Blob>();
  const add = (blob: Blob): void => {
    found.set(blob.hash(), blob);
  };
  const visit = (g: Graph): void => {
    g.meta.functions?.forEach(add);
    for (const op of g.ops) {
      if (op.data !== undefined) add(op.data);
      for (const v of Object.values(op.attrs)) if (isBlob(v)) add(v);
      op.regions.forEach(visit);
    }
  };
  visit(graph);
  return found;
}
