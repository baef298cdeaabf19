/** A graph as an engine wants it: shapes known, constants folded, values unchanged. */
import { findPass } from "../../passes/index.js";
import { type Graph, type PassDefinition, runPipeline } from "../core/index.js";

export async function cleanForEngine(graph: Graph): Promise<Graph> {
  if (graph.level === "float") await runPipeline(graph, [{ pass: findPass("canonicalize") as PassDefinition, options: {} }], { verify: "off" });
  return graph;
}
