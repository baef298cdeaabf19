/**
 * The programmatic API: everything that the command line does.
 *
 * @example
 * // Defines a pass, runs a pipeline on an ONNX file, prints the IR, writes an ONNX file.
 * import { writeFileSync } from "node:fs";
 * import { definePass, exportOnnx, findPass, formatPasses, loadModel, printGraph, runPipeline, z } from "cec";
 *
 * const countConvs = definePass({
 *   name: "count-convs", summary: "Count convolutions", from: "float", to: "same", keeps: "bit-exact",
 *   options: z.object({}).strict(), statistics: { convs: "convolutions" },
 *   run: ({ graph, count }) => count("convs", graph.opsOf("conv").length),
 * });
 * const { graph } = await loadModel("model.onnx");
 * const result = await runPipeline(graph, [
 *   { pass: findPass("canonicalize"), options: {} },
 *   { pass: findPass("fold_batch_norm"), options: {} },
 *   { pass: countConvs, options: {} },
 * ]);
 * console.log(formatPasses(result.passes));
 * console.log(printGraph(graph));
 * writeFileSync("folded.onnx", exportOnnx(graph).bytes);
 */
export { z } from "zod";
export { type CheckedFile, type CheckedPlan, format } from "../../dsl/index.js";
export { findPass, passes } from "../../passes/index.js";
export { cpuInfo, nativeIsBuilt } from "../../runtime-native/ts/index.js";
export * from "../core/index.js";
export { type AnalysisReport, type AnalyzeOptions, analyze } from "./analyze/index.js";
export { type BuildOptions, type BuildResult, build, choosePlan } from "./build/index.js";
export { type BuildReport, reportTable } from "./build/report.js";
export { type SweepOptions, type SweepRow, sweep } from "./build/sweep.js";
export { type DataKindName, type Dataset, dataKinds, openData, slice } from "./data/index.js";
export { type ChosenEngine, chooseEngine, type EngineName } from "./engine/index.js";
export { nativeExecutor } from "./engine/native.js";
export { ortExecutor } from "./engine/ort.js";
export { type Evaluated, evaluate } from "./evaluate.js";
export { type BoundData, bindData, calibrationOf } from "./feeds.js";
export { modelCost } from "./inspect.js";
export { openPlan } from "./language.js";
export { type Latency, measureLatency } from "./latency.js";
export { type Metric, metrics } from "./metrics.js";
export { type LoadedModel, loadModel } from "./model.js";
export { version } from "./version.js";
