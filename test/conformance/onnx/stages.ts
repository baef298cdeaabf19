/** What a node case goes through: import, text, export, ONNX Runtime before and after, the native engine. Each stage gives `null` or what went wrong. */
import {
  blobStore,
  blobsOf,
  CecError,
  diffGraphs,
  exportOnnx,
  type Graph,
  hashGraph,
  importOnnx,
  isFloat,
  NEWEST_OPSET,
  type PassDefinition,
  parseGraph,
  printGraph,
  runPipeline,
  type Tensor,
  toNumbers,
  verifyGraph,
} from "../../../compiler/core/index.js";
import { prepareNative } from "../../../compiler/driver/engine/native.js";
import { ortSession } from "../../../compiler/driver/engine/ort.js";
import { cleanForEngine } from "../../../compiler/driver/prepare.js";
import { findPass, supportedByNative } from "../../../passes/index.js";
import type { NodeCase } from "./cases.js";

export type Outcome = "ok" | { readonly skip: string } | { readonly fault: string };

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

async function alive(graph: Graph): Promise<Graph> {
  const copy = graph.clone();
  await runPipeline(copy, [{ pass: findPass("eliminate_dead_code") as PassDefinition, options: {} }], { verify: "off" });
  return copy;
}

export async function exportCase(graph: Graph): Promise<{ readonly bytes: Uint8Array } | { readonly fault: string }> {
  try {
    const opset = Math.min(NEWEST_OPSET, Math.max(17, graph.meta.opsets?.[""] ?? 17));
    const { bytes } = exportOnnx(graph, { opset });
    // Constants that nobody reads are not written.
    const [before, after] = await Promise.all([alive(graph), alive(importOnnx(bytes))]);
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

/** The exported file gives what the original gives. */
export async function throughOrt(c: NodeCase, graph: Graph, bytes: Uint8Array): Promise<Outcome> {
  const { sets } = c;
  const feeds = sets[0] === undefined ? null : feedsOf(graph, sets[0].inputs);
  if (feeds === null) return { skip: "inputs that are no tensors" };
  let before: Record<string, Tensor>;
  try {
    const s = await ortSession(c.model);
    before = await s.run(feeds).finally(() => s.dispose());
  } catch {
    return { skip: "ONNX Runtime does not run the original" };
  }
  try {
    const s = await ortSession(bytes);
    const after = await s.run(feeds).finally(() => s.dispose());
    for (const [name, t] of Object.entries(before)) {
      const u = after[name];
      if (u === undefined) return { fault: `no output ${name}` };
      const d = difference(u, t, 1e-5, 1e-6);
      if (d > 1 && !c.name.includes("bernoulli")) return { fault: `output ${name} differs, ${d.toExponential(1)} times the tolerance` };
    }
    return "ok";
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
    if (missing !== undefined) return { skip: `refused: ${missing.reason}` };
    session = await prepareNative(graph);
  } catch (e) {
    return e instanceof CecError ? { skip: `refused: ${text(e)}` } : { fault: text(e) };
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
    return e instanceof CecError ? { skip: `refused at run time: ${text(e)}` } : { fault: text(e) };
  } finally {
    session.dispose();
  }
}
