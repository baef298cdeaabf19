/** Quantized graphs of op families that no INT8 kernel covers: our engine and ONNX Runtime load them and give what the reference evaluation gives. */
import { expect, it } from "vitest";
import { type Executor, type Feeds, type Tensor, toNumbers } from "../../compiler/core/index.js";
import { nativeExecutor } from "../../compiler/driver/engine/native.js";
import { loadOrt, ortExecutor } from "../../compiler/driver/engine/ort.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../unit/passes/support.js";

const engines: readonly (readonly [string, () => Executor])[] = [
  ["our engine", () => nativeExecutor()],
  ["ONNX Runtime", () => ortExecutor()],
];

const models: readonly (readonly [string, string])[] = [
  [
    "lstm",
    "in %x : f32[5, 2, 8]\nconst %w : f32[1, 48, 8] = random(1)\nconst %r : f32[1, 48, 12] = random(2)\nconst %b : f32[1, 96] = random(3)\n%y, %h, %c = lstm %x, %w, %r, %b {hidden_size=12}\nout %y",
  ],
  [
    "embedding",
    "in %i : i64[2, 3]\nconst %t : f32[40, 16] = random(1)\nconst %w : f32[16, 24] = random(2)\n%e = gather %t, %i {axis=0}\n%y = matmul %e, %w\nout %y",
  ],
  [
    "conv_transpose",
    'in %x : f32[1, 8, 4, 4]\nconst %v : f32[8, 8, 3, 3] = random(2)\nconst %w : f32[8, 8, 2, 2] = random(1)\n%c = conv %x, %v {pads=[1,1,1,1], activation="relu"}\n%y = conv_transpose %c, %w {strides=[2,2]}\nout %y',
  ],
  ["conv of one axis", "in %x : f32[1, 8, 16]\nconst %w : f32[8, 8, 5] = random(1)\n%y = conv %x, %w {pads=[2,2]}\nout %y"],
];

/** An optional dependency: without it its cases are skipped. */
const withoutOrt = (await loadOrt()) === null;

for (const [name, text] of models)
  for (const mode of ["int8", "dynamic", "weights"])
    for (const [engine, make] of engines) {
      it.skipIf(withoutOrt && engine === "ONNX Runtime")(`${name}, ${mode}, in ${engine}`, async () => {
        const graph = graphOf(text);
        const calibration = samplesOf(...[1, 2, 3].map((s) => randomFeeds(graph, s) as Feeds));
        await runPasses(graph, `quantize {mode: "${mode}"}`, { executor: observingExecutor, calibration });
        const feeds = randomFeeds(graph, 2) as Feeds;
        const wanted = toNumbers((await evaluateGraph(graph, feeds))["y"] as Tensor);
        const session = await make().prepare(graph);
        try {
          const got = toNumbers((await session.run(feeds))["y"] as Tensor);
          const top = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          expect(got.length).toBe(wanted.length);
          // A quantum or two of 8 bits where a sum ends between two: integer kernels and QDQ round in another order.
          wanted.forEach((v, i) => {
            expect(Math.abs(v - (got[i] as number)) / top).toBeLessThan(0.02);
          });
        } finally {
          session.dispose();
        }
      });
    }
