/**
 * Files that parse but say nonsense: fields of decoded models exchanged, dropped, doubled and made extreme, which damaged bytes rarely reach. Whatever comes, the
 * way from file to file gives a graph or a coded error of the input (exit code 1) with a helpful text.
 */
import { expect, it } from "vitest";
import {
  blobStore,
  blobsOf,
  CecError,
  exportOnnx,
  type Graph,
  importOnnx,
  type PassDefinition,
  parseGraph,
  printGraph,
  randomFrom,
  runPipeline,
  verifyGraph,
} from "../../compiler/core/index.js";
import { type ModelProto, modelCodec } from "../../compiler/core/onnx/schema.js";
import { findPass } from "../../passes/index.js";
import { kinds } from "../e2e/kinds/models.js";
import { smallNetOnnx } from "../e2e/support.js";
import { model, node, value } from "../unit/core/onnx/support.js";

type Json = Record<string, unknown>;
const isMessage = (v: unknown): v is Json => typeof v === "object" && v !== null && !ArrayBuffer.isView(v) && !Array.isArray(v) && !("low" in v);

/** Every field of every message of a model: where it stands, and what it is. */
function fieldsOf(message: Json, out: { readonly at: Json; readonly key: string }[] = []): { readonly at: Json; readonly key: string }[] {
  for (const key of Object.keys(message)) {
    out.push({ at: message, key });
    const v = message[key];
    for (const inner of Array.isArray(v) ? v : [v]) if (isMessage(inner)) fieldsOf(inner, out);
  }
  return out;
}

const long = (low: number, high: number): unknown => ({ low, high, unsigned: false });
const integers: readonly unknown[] = [0, 1, -1, 2, 3, 7, 64, 2 ** 31 - 1, -(2 ** 31), 2 ** 32, 2 ** 52, long(-1, 0x7fffffff), long(0, -0x80000000)];
const floats = [0, -0, 1, -1, 1e30, Number.NaN, Number.POSITIVE_INFINITY];
const words = ["", "x", "__proto__", "Relu", "If", "Loop", "Conv", "Constant", "SAME_UPPER", "../../etc/passwd", "a".repeat(2000)];

function mutate(source: ModelProto, next: () => number): void {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)] as T;
  const fields = fieldsOf(source as Json);
  const { at, key } = pick(fields);
  const v = at[key];
  const other = (old: unknown): unknown => {
    if (typeof old === "string") return next() < 0.5 ? pick(words) : (stringsOf(fields, pick) ?? "x");
    if (typeof old === "number" && !Number.isInteger(old)) return pick(floats);
    if (typeof old === "number" || (typeof old === "object" && old !== null && "low" in old)) return pick(integers);
    if (ArrayBuffer.isView(old)) return (old as Uint8Array).subarray(0, Math.floor(next() * (old.byteLength + 1)));
    // Another message of the same kind, as it stands elsewhere.
    const same = fields.filter((f) => f.key === key && f.at !== at);
    return same.length === 0 ? old : structuredClone(pick(same).at[key]);
  };
  if (next() < 0.15) {
    delete at[key];
  } else if (Array.isArray(v)) {
    const i = Math.floor(next() * v.length);
    const r = next();
    if (v.length === 0 || r < 0.2) v.push(...structuredClone(v.slice(i, i + 1)));
    else if (r < 0.4) v.splice(i, 1);
    else if (r < 0.55) v.reverse();
    else if (isMessage(v[i])) v[i] = structuredClone(pick(v));
    else v[i] = other(v[i]);
  } else at[key] = other(v);
}

/** A name from elsewhere in the model: other operands, shadowed names, cycles. */
function stringsOf(fields: readonly { readonly at: Json; readonly key: string }[], pick: <T>(from: readonly T[]) => T): string | undefined {
  const lists = fields.filter((f) => f.key === "input" || f.key === "output" || f.key === "name");
  const v = lists.length === 0 ? undefined : pick(lists).at[pick(["input", "output", "name"])];
  return typeof v === "string" ? v : Array.isArray(v) && typeof v[0] === "string" ? (pick(v) as string) : undefined;
}

async function through(bytes: Uint8Array): Promise<Graph> {
  const graph = importOnnx(bytes);
  const faults = verifyGraph(graph);
  if (faults.length > 0) throw new CecError(faults);
  const text = printGraph(graph);
  expect(printGraph(parseGraph(text, { blobs: blobStore(blobsOf(graph)) }))).toBe(text);
  await runPipeline(graph, [{ pass: findPass("canonicalize") as PassDefinition, options: {} }]);
  importOnnx(exportOnnx(graph).bytes);
  return graph;
}

const functions = model(
  {
    input: [value("x", ["N", 3])],
    output: [value("y", ["N", 3])],
    node: [node("F", ["x"], ["h"], { domain: "l" }), node("Zorg", ["h"], ["y"], { domain: "other" })],
  },
  {
    opset_import: [
      { domain: "", version: 17 },
      { domain: "l", version: 1 },
      { domain: "other", version: 1 },
    ],
    functions: [
      { name: "F", domain: "l", input: ["a"], output: ["b"], node: [node("Relu", ["a"], ["b"])], opset_import: [{ domain: "", version: 17 }] },
    ],
  },
);

const models: readonly (readonly [string, Uint8Array])[] = [
  ["small net", new Uint8Array(smallNetOnnx())],
  ["local functions", functions],
  ...kinds.map((k) => [k.name, k.bytes] as const),
];

/** More by `CEC_MUTATIONS=5000`: with more, other changes of the same stream follow. */
const COUNT = Number(process.env["CEC_MUTATIONS"] ?? 120);

it.each(models)("survives nonsensical changes of: %s", async (name, bytes) => {
  const next = randomFrom(name.length, 5);
  let [graphs, errors] = [0, 0];
  for (let i = 0; i < COUNT; i++) {
    const changed = plain(modelCodec.decode(bytes)) as ModelProto;
    for (let k = 0; k <= Math.floor(next() * 3); k++) mutate(changed, next);
    let damaged: Uint8Array;
    try {
      damaged = modelCodec.encode(changed);
    } catch {
      continue; // No file can hold such a message.
    }
    try {
      await through(damaged);
      graphs++;
    } catch (e) {
      if (!(e instanceof CecError)) throw new Error(`${name}, change ${i}`, { cause: e });
      expect(e.exitCode, `${name}, change ${i}: ${e.message}`).toBe(1);
      const [d] = e.diagnostics;
      expect((d?.message ?? "").length + (d?.why ?? d?.help ?? "").length, e.message).toBeGreaterThan(15);
      expect(e.message.length, `${name}, change ${i}`).toBeLessThan(5000);
      errors++;
    }
  }
  // Both must happen: a test that only ever sees one of them looks at nothing.
  expect(graphs).toBeGreaterThan(10);
  expect(errors).toBeGreaterThan(10);
});

/** A decoded message as plain data, without the codec's prototypes. */
function plain(v: unknown): unknown {
  if (Array.isArray(v)) return v.map(plain);
  if (ArrayBuffer.isView(v)) return new Uint8Array(v as Uint8Array);
  if (typeof v !== "object" || v === null) return v;
  if ("low" in v) return { ...v };
  return Object.fromEntries(Object.entries(v).map(([k, w]) => [k, plain(w)]));
}
