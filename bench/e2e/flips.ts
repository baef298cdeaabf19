/** bench/peers/flips.py for our engine: flips.ts SOURCE.onnx IMAGES.npy LABELS.npy FILE.onnx... CEC_MAX_ISA holds it to an instruction set. */
import { availableParallelism } from "node:os";
import { bindData, evaluate, loadModel, nativeExecutor, openData } from "../../compiler/driver/index.js";
import { cleanForEngine } from "../../compiler/driver/prepare.js";

const [source, images, labels, ...files] = process.argv.slice(2) as [string, string, string, ...string[]];
const data = await openData("images", "npy", { path: images, labels }, ".");
const executor = nativeExecutor({ threads: availableParallelism() });
const open = async (path: string) => {
  const { graph } = await loadModel(path);
  return { output: graph.outputs[0]?.name ?? "", bound: bindData(data, graph), session: await executor.prepare(await cleanForEngine(graph)) };
};
const reference = await open(source);
for (const path of [source, ...files]) {
  const it = await open(path);
  const { results } = await evaluate(it.bound, { reference: reference.session, it: it.session }, { reference: "reference", output: it.output });
  const { top1, flips } = results["it"]?.values ?? {};
  process.stdout.write(`${JSON.stringify({ file: path, top1, flips })}\n`);
  it.session.dispose();
}
