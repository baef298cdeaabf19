import { expect, it } from "vitest";
import { bisectPatches, buildGraph, type Graph } from "../../../../compiler/core/index.js";
import { call, mergeRelu, throws } from "./passes.js";

const chain = (n: number): Graph =>
  buildGraph("g", (b) => {
    let v = b.input("x", "f32[4]");
    for (let i = 1; i <= n; i++) v = b.value("relu", [v], {}, `r${i}`);
    b.output("y", v);
  });

it.each([1, 2, 17, 39])("finds patch %i of 39 in few runs", async (culprit) => {
  // The result is bad once the op that the culprit removes is gone.
  const isGood = (g: Graph): boolean => g.ops.some((op) => op.name === `r${culprit + 1}`);
  const { patch, runs } = await bisectPatches(() => chain(40), [call(mergeRelu)], isGood);
  expect(patch).toMatchObject({ number: culprit, pass: "merge-relu", at: `r${culprit + 1}` });
  expect(runs).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(39)));
});

it("says when there is nothing to find", async () => {
  await expect(
    bisectPatches(
      () => chain(4),
      [call(mergeRelu)],
      () => false,
    ),
  ).rejects.toThrow(/CEC4012: the source is bad/);
  await expect(
    bisectPatches(
      () => chain(4),
      [call(mergeRelu)],
      () => true,
    ),
  ).rejects.toThrow(/CEC4012: the result after all 3 patches is good/);
  let judged = 0;
  await expect(
    bisectPatches(
      () => chain(1),
      [call(mergeRelu)],
      () => judged++ === 0,
    ),
  ).rejects.toThrow(/CEC4012: .*no pass recorded a patch/);
  await expect(
    bisectPatches(
      () => chain(1),
      [call(throws)],
      () => true,
    ),
  ).rejects.toThrow(/CEC9001/);
});
