/**
 * The core of cec: graph IR, ops, passes, diagnostics, ONNX.
 *
 * @example
 * // node --import tsx example.ts MODEL.onnx: defines a pass, runs it on an ONNX file, prints what it did and the IR.
 * import { definePass, formatPasses, importOnnxFile, printGraph, runPipeline } from "cec/core";
 * import { z } from "zod";
 *
 * const mergeRelu = definePass({
 *   name: "merge-relu",
 *   summary: "Relu of relu is relu",
 *   from: "float",
 *   to: "same",
 *   keeps: "bit-exact",
 *   options: z.object({ limit: z.number().int().min(0).default(100).describe("merge at most this many") }).strict(),
 *   statistics: { merged: "ops removed" },
 *   run({ graph, options, rewrite, count, decide }) {
 *     for (const op of graph.opsOf("relu").slice(0, options.limit)) {
 *       const before = op.inputs[0]?.producer;
 *       if (before?.kind !== "relu") {
 *         decide(op, "left alone", "its operand is no relu");
 *         continue;
 *       }
 *       rewrite.replace(op, before, "relu is idempotent");
 *       count("merged");
 *     }
 *   },
 * });
 *
 * const graph = importOnnxFile(process.argv[2] ?? "model.onnx");
 * const { passes, decisions } = await runPipeline(graph, [{ pass: mergeRelu, options: {} }]);
 * console.log(formatPasses(passes));
 * for (const d of decisions) console.log(`${d.op}: ${d.action}: ${d.reason}`);
 * console.log(printGraph(graph));
 */
export * from "./diagnostics/index.js";
export * from "./ir/blobs.js";
export * from "./ir/builder.js";
export * from "./ir/diff.js";
export * from "./ir/graph.js";
export * from "./ir/hash.js";
export * from "./ir/infer.js";
export { type Cost, defineOp, type InferContext, type Inferred, type OpDefinition } from "./ir/op.js";
export { isOpKind, type OpKind, opDefinition, opKinds } from "./ir/ops/index.js";
export * from "./ir/parse.js";
export * from "./ir/print.js";
export * from "./ir/tensor.js";
export * from "./ir/types.js";
export * from "./ir/verify.js";
export * from "./onnx/index.js";
export * from "./pass/bisect.js";
export * from "./pass/define.js";
export * from "./pass/executor.js";
export * from "./pass/instruments.js";
export * from "./pass/manager.js";
export * from "./pass/rewrite.js";
export * from "./pass/steps.js";
export * from "./pass/tolerance.js";
export * from "./pass/trainer.js";
export * from "./random.js";
