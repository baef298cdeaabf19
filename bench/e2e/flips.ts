/** bench/peers/flips.py for our engine: flips.ts SOURCE.onnx IMAGES.npy LABELS.npy FILE.onnx... CEC_MAX_ISA holds it to an instruction set. */
import { availableParallelism } from "node:os";
import type { GraphSession } from "../../compiler/core/index.js";
import { bindData, evaluate, loadModel, nativeExecutor, openData } from "../../compiler/driver/index.js";
import { cleanForEngine } from "../../compiler/driver/prepare.js";

const [source, images, labels, ...files] = process.argv.slice(2) as [string, string, string, ...string[]];
const data = await openData("images", "npy", { path: images, labels }, ".");
const executor = nativeExecutor({ threads: availableParallelism() });
const sessions: Record<string, GraphSession> = {};
const { graph } = await loadModel(source);
for (const path of [source, ...files]) sessions[path] = await executor.prepare(await cleanForEngine((await loadModel(path)).graph));
const { results } = await evaluate(bindData(data, graph), sessions, { reference: source, output: graph.outputs[0]?.name ?? "" });
for (const path of [source, ...files]) {
  const { top1, flips } = results[path]?.values ?? {};
  process.stdout.write(`${JSON.stringify({ file: path, top1, flips: flips ?? 0 })}\n`);
}
