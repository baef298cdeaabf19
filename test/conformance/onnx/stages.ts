/** What a node case goes through: import, text, export, ONNX Runtime before and after, the native engine. Each stage gives `null` or what went wrong. */
import {
  blobStore,
  blobsOf,
  CecError,
  constantTensor,
  diffGraphs,
  elementNumbers,
  exportOnnx,
  type Graph,
  hashGraph,
  importOnnx,
  isFloat,
  NEWEST_OPSET,
  OLDEST_EXPORT,
  type PassDefinition,
  parseGraph,
  printGraph,
  runPipeline,
  type Tensor,
  toBytes,
  toNumbers,
  verifyGraph,
} from "../../../compiler/core/index.js";
import { modelCodec } from "../../../compiler/core/onnx/schema.js";
import { prepareNative } from "../../../compiler/driver/engine/native.js";
import { ortSession } from "../../../compiler/driver/engine/ort.js";
import { cleanForEngine } from "../../../compiler/driver/prepare.js";
import { findPass, supportedByNative } from "../../../passes/index.js";
import type { NodeCase } from "./cases.js";

export type Outcome = "ok" | { readonly skip: string; readonly why?: string } | { readonly fault: string };

export const text = (e: unknown): string =>
  e instanceof CecError
    ? `${e.diagnostics[0]?.code}: ${e.diagnostics[0]?.message}${e.diagnostics[0]?.why === undefined ? "" : ` (${e.diagnostics[0].why.slice(0, 120)})`}`
    : `EXCEPTION ${e instanceof Error ? e.message : String(e)}`;

export function importCase(c: NodeCase): Graph | { readonly fault: string } {
  try {
    const graph = importOnnx(c.model);
    const faults = verifyGraph(graph);
    return faults.length === 0 ? graph : { fault: `verifier: ${faults[0]?.message}` };
  } catch (e) {
    return { fault: text(e) };
  }
}

export function throughText(graph: Graph): Outcome {
  try {
    const printed = printGraph(graph);
    const again = parseGraph(printed, { blobs: blobStore(blobsOf(graph)) });
    return printGraph(again) === printed && hashGraph(again) === hashGraph(graph) ? "ok" : { fault: "another graph after printing and parsing" };
  } catch (e) {
    return { fault: text(e) };
  }
}

/** Constants that nobody reads are not written, and one that several nodes read may be written at each: neither makes another graph. */
async function bare(graph: Graph): Promise<Graph> {
  const copy = graph.clone();
  const passes = ["eliminate_dead_code", "dedupe_constants"].map((name) => ({ pass: findPass(name) as PassDefinition, options: {} }));
  await runPipeline(copy, passes, { verify: "off" });
  return copy;
}

/** The opset nearest to the source's that can be written. */
export const ownOpset = (graph: Graph): number => Math.min(NEWEST_OPSET, Math.max(OLDEST_EXPORT, graph.meta.opsets?.[""] ?? OLDEST_EXPORT));

/** The exporter raises `opset` where the graph needs it. */
export async function exportCase(graph: Graph, opset: number): Promise<{ readonly bytes: Uint8Array } | { readonly fault: string }> {
  try {
    const { bytes } = exportOnnx(graph, { opset });
    const [before, after] = await Promise.all([bare(graph), bare(importOnnx(bytes))]);
    const different = diffGraphs(before, after)[0];
    if (different !== undefined) return { fault: `another graph after export and import: ${different.message}` };
    return { bytes };
  } catch (e) {
    return { fault: text(e) };
  }
}

const feedsOf = (graph: Graph, inputs: readonly (Tensor | null)[]): Record<string, Tensor> | null => {
  const feeds: Record<string, Tensor> = {};
  for (const [i, v] of graph.inputs.entries()) {
    const t = inputs[i];
    if (t == null) return null;
    feeds[v.name] = t;
  }
  return feeds;
};

/** Largest difference in units of the tolerance; NaN equals NaN, infinity equals infinity. */
export function difference(a: Tensor, b: Tensor, rtol: number, atol: number): number {
  if (a.dims.length !== b.dims.length || a.dims.some((d, i) => d !== b.dims[i])) return Number.POSITIVE_INFINITY;
  if (a.type === "string" || b.type === "string")
    return a.data.length === b.data.length && Array.from(a.data as string[]).every((s, i) => s === (b.data as string[])[i])
      ? 0
      : Number.POSITIVE_INFINITY;
  const [x, y] = [toNumbers(a), toNumbers(b)];
  let worst = 0;
  for (let i = 0; i < x.length; i++) {
    const [u, v] = [x[i] as number, y[i] as number];
    if (Object.is(u, v) || u === v || (Number.isNaN(u) && Number.isNaN(v))) continue;
    const d = Math.abs(u - v) / (atol + rtol * Math.abs(v));
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
  }
  return worst;
}

/** Exported files give what the original gives: one outcome for each file, or why ONNX Runtime does not run the original. */
export async function throughOrt(c: NodeCase, graph: Graph, files: readonly Uint8Array[]): Promise<{ readonly skip: string } | readonly Outcome[]> {
  const feeds = c.sets[0] === undefined ? null : feedsOf(graph, c.sets[0].inputs);
  if (feeds === null) return { skip: "inputs that are no tensors" };
  const resultsOf = async (bytes: Uint8Array): Promise<Record<string, Tensor>> => {
    const s = await ortSession(bytes);
    return s.run(feeds).finally(() => s.dispose());
  };
  let before: Record<string, Tensor>;
  try {
    before = await resultsOf(c.model);
  } catch {
    return { skip: "ONNX Runtime does not run the original" };
  }
  const outcomes: Outcome[] = [];
  for (const bytes of files) {
    try {
      const after = await resultsOf(bytes);
      const wrong = Object.entries(before).find(
        // Bernoulli draws: only shape and type are the same.
        ([name, t]) => after[name]?.type !== t.type || (!c.name.includes("bernoulli") && difference(after[name], t, 1e-5, 1e-6) > 1),
      );
      outcomes.push(wrong === undefined ? "ok" : { fault: `output ${wrong[0]} differs` });
    } catch (e) {
      outcomes.push({ fault: text(e) });
    }
  }
  return outcomes;
}

/** The case with its inputs as constants, folded by the ops' reference evaluations: what the compiler computes is what the case expects. */
export async function throughFolding(c: NodeCase): Promise<Outcome> {
  const set = c.sets[0];
  if (set === undefined) return { skip: "no data" };
  const model = modelCodec.decode(c.model);
  const names = (model.graph?.input ?? []).map((v) => v.name ?? "");
  const given = new Set((model.graph?.initializer ?? []).map((t) => t.name));
  const free = names.filter((n) => !given.has(n));
  if (model.graph == null || set.inputs.length < free.length || set.inputs.some((t) => t === null)) return { skip: "inputs that are no tensors" };
  const initializer = free.map((name, i) => {
    const t = set.inputs[i] as Tensor;
    const data = t.type === "string" ? { string_data: (t.data as string[]).map((s) => new TextEncoder().encode(s)) } : { raw_data: toBytes(t) };
    return { name, dims: [...t.dims], data_type: elementNumbers[t.type], ...data };
  });
  try {
    const graph = importOnnx(
      modelCodec.encode({ ...model, graph: { ...model.graph, initializer: [...(model.graph.initializer ?? []), ...initializer] } }),
    );
    await runPipeline(graph, [{ pass: findPass("fold_constants") as PassDefinition, options: {} }], { verify: "off" });
    let compared = 0;
    for (const [i, o] of graph.outputs.entries()) {
      const got = constantTensor(o.value);
      const want = set.outputs[i];
      if (got === null || want == null) continue;
      compared++;
      if (got.type !== want.type) return { fault: `output ${o.name} is ${got.type}, not ${want.type}` };
      const d = difference(got, want, Math.max(c.rtol, isFloat(want.type) ? 1e-5 : 0), isFloat(want.type) ? Math.max(c.atol, 1e-6) : c.atol);
      if (d > 1) return { fault: `output ${o.name} differs, ${d.toExponential(1)} times the tolerance` };
    }
    return compared === 0 ? { skip: "not folded" } : "ok";
  } catch (e) {
    return { fault: text(e) };
  }
}

/** The native engine computes what the case expects, where it accepts the graph. */
export async function throughNative(c: NodeCase, source: Graph): Promise<Outcome> {
  let session: Awaited<ReturnType<typeof prepareNative>>;
  const graph = source.clone();
  try {
    await cleanForEngine(graph);
    const missing = supportedByNative(graph)[0];
    if (missing !== undefined) return { skip: missing.op.kind === "carry" ? String(missing.op.attrs["op_type"]) : missing.op.kind };
    session = await prepareNative(graph);
  } catch (e) {
    return e instanceof CecError ? { skip: `${c.ops.join("+")} while lowering` } : { fault: text(e) };
  }
  try {
    for (const set of c.sets) {
      const feeds = feedsOf(graph, set.inputs);
      if (feeds === null) return { skip: "inputs that are no tensors" };
      const out = await session.run(feeds);
      for (const [i, o] of graph.outputs.entries()) {
        const want = set.outputs[i];
        const got = out[o.name];
        if (want == null) continue;
        if (got === undefined) return { fault: `no output ${o.name}` };
        if (got.type !== want.type) return { fault: `output ${o.name} is ${got.type}, not ${want.type}` };
        const d = difference(got, want, Math.max(c.rtol, isFloat(want.type) ? 1e-5 : 0), isFloat(want.type) ? Math.max(c.atol, 1e-6) : c.atol);
        if (d > 1) return { fault: `output ${o.name} differs, ${d.toExponential(1)} times the tolerance` };
      }
    }
    return "ok";
  } catch (e) {
    return e instanceof CecError ? { skip: `${c.ops.join("+")} at run time`, why: text(e) } : { fault: text(e) };
  } finally {
    session.dispose();
  }
}
