/**
 * The core of cec: graph IR, ops, passes, diagnostics, ONNX.
 *
 * @example
 * import { buildGraph, definePass, printGraph, runPipeline } from "cec/core";
 * import { z } from "zod";
 *
 * const graph = buildGraph("tiny", (b) => {
 *   const x = b.input("x", "f32", ["N", 4]);
 *   b.output("y", b.value("relu", [b.value("relu", [x])]));
 * });
 * const mergeRelu = definePass({
 *   name: "merge-relu", summary: "relu of relu is relu", from: "float", to: "same", keeps: "bit-exact",
 *   options: z.object({}).strict(), statistics: { merged: "ops removed" },
 *   run({ graph, rewrite, count }) {
 *     for (const op of graph.opsOf("relu")) {
 *       const before = op.inputs[0]?.producer;
 *       if (before?.kind === "relu") { rewrite.replace(op, before, "idempotent"); count("merged"); }
 *     }
 *   },
 * });
 * await runPipeline(graph, [{ pass: mergeRelu, options: {} }]);
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
export * from "./pass/tolerance.js";
export * from "./random.js";
