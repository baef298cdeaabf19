import type { AttrValue, Graph, Op, Value } from "../../../../compiler/core/index.js";

const bytesOf = (v: AttrValue | undefined): unknown =>
  typeof v === "object" && "hash" in v ? { bytes: Buffer.from(v.bytes()).toString("base64") } : v;

/** A graph as plain data, for `toEqual`: everything that the text form must keep. Written without the printer, so that both do not share a fault. */
export function plain(graph: Graph): unknown {
  const place = (v: Value | null): unknown => (v === null ? null : v.name);
  const value = (v: Value): unknown => ({ name: v.name, type: v.type, content: v.content, doc: v.doc, index: v.index });
  const op = (o: Op): unknown => ({
    kind: o.kind,
    name: o.name,
    loc: o.loc,
    doc: o.doc,
    annotations: o.annotations,
    inputs: o.inputs.map(place),
    outputs: o.outputs.map(value),
    attrs: Object.fromEntries(Object.entries(o.attrs).map(([k, v]) => [k, bytesOf(v)])),
    regions: o.regions.map(plain),
    data: bytesOf(o.data),
  });
  return {
    name: graph.name,
    level: graph.level,
    pipeline: graph.pipeline,
    meta: { ...graph.meta, functions: graph.meta.functions?.map(bytesOf) },
    metaOrder: Object.keys(graph.meta.properties ?? {}),
    inputs: graph.inputs.map(value),
    ops: graph.ops.map(op),
    outputs: graph.outputs.map((o) => [o.name, o.value.name]),
  };
}
