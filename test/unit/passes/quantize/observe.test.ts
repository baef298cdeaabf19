import { expect, it } from "vitest";
import type { Executor, Feeds } from "../../../../compiler/core/index.js";
import { f32, runPipeline } from "../../../../compiler/core/index.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { passes } from "../../../../passes/index.js";
import { type FixedSpec, readSpec } from "../../../../passes/quantize/spec.js";
import { graphOf } from "../support.js";

const quantized = async (text: string, executor: Executor): Promise<ReturnType<typeof graphOf>> => {
  const graph = graphOf(text);
  const feeds: Feeds = { x: f32([2, 4], [-1, 0.25, 2, 3, 0.5, -4, 1, 0]) };
  const calibration = {
    size: 2,
    async *batches() {
      yield feeds;
    },
  };
  const call = (name: string, options = {}) => ({ pass: passes.get(name) as never, options });
  await runPipeline(graph, [call("annotate_int8", { range: "minmax" }), call("observe")], { executor, calibration });
  return graph;
};

it("what only moves values is not looked at again, and shares the range of all that it holds", async () => {
  const native = nativeExecutor();
  const seen: string[] = [];
  const executor: Executor = {
    ...native,
    observe: (graph, values, batches, options) => {
      seen.push(...values);
      return native.observe(graph, values, batches, options);
    },
  };
  const graph = await quantized(
    `in %x : f32[N, 4]
const %w : f32[8, 3] = random(1)
%a = relu %x @"a"
%b = sigmoid %x @"b"
%j = concat %a, %b {axis=1} @"join"
%y = matmul %j, %w @"m"
out %y`,
    executor,
  );
  expect(seen).toEqual(["x", "a", "b"]);
  const edge = (name: string): FixedSpec => readSpec(graph.value(name)?.producer as never)?.outputs[0] as FixedSpec;
  // Relu gives 0 to 3, the sigmoid less than 1: all are stored on steps of 3 / 255.
  for (const name of ["a", "b", "j"]) expect(edge(name)).toMatchObject({ kind: "fixed", scale: [Math.fround(3 / 255)], zeroPoint: [0] });
});
