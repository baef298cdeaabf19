/** Finds the patch that turns a good result bad, by binary search over `stopAfterPatch`. */
import { fail } from "../diagnostics/index.js";
import type { Graph } from "../ir/graph.js";
import type { PassCall } from "./define.js";
import { type PipelineOptions, runPipeline } from "./manager.js";
import type { PatchRecord } from "./rewrite.js";

export interface BisectResult {
  /** The first patch with which the result is bad. */
  readonly patch: PatchRecord;
  /** Graphs that were judged. */
  readonly runs: number;
}

/**
 * @param makeGraph gives a fresh source graph for each run
 * @param isGood judges a graph; must be deterministic
 * @throws CEC4012 when the source is bad already, or the full pipeline is good
 */
export async function bisectPatches(
  makeGraph: () => Graph | Promise<Graph>,
  calls: readonly PassCall[],
  isGood: (graph: Graph) => boolean | Promise<boolean>,
  options: Omit<PipelineOptions, "stopAfterPatch"> = {},
): Promise<BisectResult> {
  let runs = 0;
  const judge = async (graph: Graph): Promise<boolean> => {
    runs++;
    return isGood(graph);
  };
  if (!(await judge(await makeGraph())))
    fail("CEC4012", { message: "the source is bad before any patch", help: "the fault is in the model, the data or the bound" });
  const full = await runPipeline(await makeGraph(), calls, options);
  if (await judge(full.graph))
    fail("CEC4012", { message: `the result after all ${full.patches.length} patches is good`, help: "give a stricter bound" });
  if (full.patches.length === 0)
    fail("CEC4012", { message: "the result is bad, but no pass recorded a patch", help: "look at the passes one by one with --dump-ir=changed" });
  let good = 0;
  let bad = full.patches.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    const { graph } = await runPipeline(await makeGraph(), calls, { ...options, stopAfterPatch: middle });
    if (await judge(graph)) good = middle;
    else bad = middle;
  }
  return { patch: full.patches[bad - 1] as PatchRecord, runs };
}
