/** The whole analysis, in process. */
import { expect, it } from "vitest";
import { type PassDefinition, runPipeline } from "../../../../compiler/core/index.js";
import { analyze } from "../../../../compiler/driver/analyze/index.js";
import { bindData, calibrationOf, nativeExecutor } from "../../../../compiler/driver/index.js";
import { openReference } from "../../../../compiler/driver/references.js";
import { findPass } from "../../../../passes/index.js";
import { samples, smallNet, temporaryFolder, write } from "../../../e2e/support.js";

async function analyzed(keptElements: number, mode = "int8") {
  const source = smallNet();
  const data = bindData(await openReference(write(temporaryFolder(), "x.npy", samples(21)), source), source);
  const executor = nativeExecutor();
  const compressed = smallNet();
  const calls = ["canonicalize", "fuse", "quantize"].map((n) => ({ pass: findPass(n) as PassDefinition, options: n === "quantize" ? { mode } : {} }));
  await runPipeline(compressed, calls, { executor, calibration: calibrationOf(data) });
  return analyze({
    source: { path: "a", graph: source },
    compressed: { path: "b", graph: compressed },
    data,
    dataName: null,
    executorFor: async () => executor,
    samples: 21,
    sensitivity: 0,
    keptElements,
  });
}

it("measured in groups of layers, the figures are the same", async () => {
  const [whole, parts] = [await analyzed(2 ** 23), await analyzed(1)];
  expect(parts.coverage).toEqual(whole.coverage);
  expect(parts.quantizers.map((q) => [q.value, q.clipped])).toEqual(whole.quantizers.map((q) => [q.value, q.clipped]));
  expect(parts.output.sqnr).toBeCloseTo(whole.output.sqnr, 6);
  expect(parts.layers.length).toBe(6);
  for (const [i, l] of parts.layers.entries()) {
    const w = whole.layers[i];
    expect(l.name).toBe(w?.name);
    expect(l.local?.sqnr).toBeCloseTo(w?.local?.sqnr ?? 0, 6);
    expect(l.accumulated?.sqnr).toBeCloseTo(w?.accumulated?.sqnr ?? 0, 6);
    expect(l.accumulated?.mse).toBeGreaterThan(0);
  }
});

it("weights alone in 8 bits: no quantizers, errors of weights and of activations", async () => {
  const r = await analyzed(2 ** 23, "weights");
  expect(r.quantizers).toEqual([]);
  const second = r.layers.find((l) => l.name === "second");
  expect(second?.weights).toMatchObject({ stored: "i8, 32 scales along axis 0", perTensor: false });
  expect(second?.weights?.sqnr).toBeGreaterThan(38);
  expect(second?.weights?.sqnr).toBeCloseTo(second?.weights?.perChannelSqnr ?? 0, 3);
  expect(second?.weights?.worstChannel?.sqnr).toBeLessThan(second?.weights?.sqnr ?? 0);
  // The first convolution is too small to be stored in 8 bits: the second is the first to err, and the last adds its own to that.
  expect(second?.local?.sqnr).toBeCloseTo(second?.accumulated?.sqnr ?? 0, 6);
  const last = r.layers.find((l) => l.name === "fc");
  expect(last?.local?.sqnr).toBeGreaterThan(last?.accumulated?.sqnr ?? 0);
});
