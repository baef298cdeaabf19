/** Models whose BatchNorms were not folded before they were compressed. */
import { describe, expect, it } from "vitest";
import { type Graph, parseIrFile, toNumbers } from "../../../../compiler/core/index.js";
import { pairModels } from "../../../../compiler/driver/analyze/layers.js";
import { weightFigures } from "../../../../compiler/driver/analyze/weights.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { cleanForEngine } from "../../../../compiler/driver/prepare.js";

const graphOf = (body: string): Graph => parseIrFile(`cir 1\ngraph @g level=float {\n${body}\n}`, { infer: true }).graph;
const x = { type: "f32", dims: [2, 2, 4, 4], data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i)) } as const;
const valuesOf = async (g: Graph, keep: readonly string[]) => {
  const session = await nativeExecutor().prepare(g, { keep });
  const out = await session.run({ x });
  session.dispose();
  return (name: string): number[] => Array.from(toNumbers(out[name] as NonNullable<(typeof out)[string]>));
};

/** `weights` defines %w, `gamma` is the BatchNorm's scale; what follows a BatchNorm reads `after`. */
const net = (weights: string, gamma: string, quantizers = "", after: readonly [string, string] = ["%c", "%n"]): string => `in %x : f32[N, 2, 4, 4]
${weights}
const %s : f32[3] = dense [${gamma}]
const %b : f32[3] = dense [0, 0.1, 0.2]
const %m : f32[3] = dense [0.1, 0, -0.1]
const %v : f32[3] = dense [1, 4, 0.25]
%c = conv %x, %w {pads=[1,1,1,1]} @"c"
${quantizers}
%n = batch_normalization ${after[0]}, %s, %b, %m, %v @"n"
${quantizers === "" ? "" : "%nq = quantize_linear %n, %sn, %zn\n%ndq = dequantize_linear %nq, %sn, %zn"}
const %w2 : f32[2, 3, 1, 1] = random(2)
%d = conv ${after[1]}, %w2 @"d"
out %d`;
const integers = Array.from({ length: 54 }, (_, i) => ((i * 37) % 255) - 127);
const real = (scale: readonly number[]): string =>
  `const %w : f32[3, 2, 3, 3] = dense [${integers.map((q, i) => q * (scale[Math.floor(i / 18) % scale.length] as number)).join(", ")}]`;
const stored = (scale: readonly number[]): string =>
  `const %wq : i8[3, 2, 3, 3] = dense [${integers.join(", ")}]
const %ws : f32[${scale.length > 1 ? scale.length : ""}] = dense [${scale.join(", ")}]
const %wz : i8[${scale.length > 1 ? scale.length : ""}] = dense [${scale.map(() => 0).join(", ")}]
%w = dequantize_linear %wq, %ws, %wz {axis=0}`;
const quantizers = `const %sc : f32[] = dense [0.05]
const %zc : u8[] = dense [128]
const %sn : f32[] = dense [0.03]
const %zn : u8[] = dense [120]
%cq = quantize_linear %c, %sc, %zc
%cdq = dequantize_linear %cq, %sc, %zc`;
const quantized = (scale: readonly number[], gamma = "0.7, 3, 0.5"): Promise<Graph> =>
  cleanForEngine(graphOf(net(stored(scale), gamma, quantizers, ["%cdq", "%ndq"])));

it("taps what the BatchNorm gives: a model against itself has no error", async () => {
  const text = net(real([0.01]), "0.7, 3, 0.5");
  const pair = await pairModels(graphOf(text), await cleanForEngine(graphOf(text)));
  const [first] = pair.layers;
  expect([first?.name, first?.tap, first?.untapped]).toEqual(["c", "n", null]);
  const [a, b] = [await valuesOf(pair.source, [first?.source.outputs[0]?.name as string]), await valuesOf(pair.compressed, ["n"])];
  const expected = a(first?.source.outputs[0]?.name as string);
  expect(expected.length).toBe(96);
  b("n").forEach((v, i) => expect(v).toBeCloseTo(expected[i] as number, 4));
});

describe.each([
  ["one scale", [0.01]],
  ["a scale per channel", [0.01, 0.02, 0.005]],
] as const)("stored weights, %s", (_, scale) => {
  it("are carried through the BatchNorm, and quantizers are those behind it", async () => {
    const pair = await pairModels(graphOf(net(real(scale), "0.7, 3, 0.5")), await quantized(scale));
    const [first, second] = pair.layers;
    expect(pair.unmatched).toEqual([]);
    expect(first).toMatchObject({ tap: "ndq", output: { value: "n", zeroPoint: [120] }, weightsLost: false });
    expect(second?.inputs[0]).toMatchObject({ value: "n" });
    expect([...pair.quantizers.values()].map((q) => q.value)).toEqual(["n"]);
    // gamma / sqrt(variance), with an epsilon of 1e-5
    const factor = [0.7, 1.5, 1];
    expect(first?.weights?.scale.map((s, c) => s / (scale[c % scale.length] as number))).toEqual(factor.map((f) => expect.closeTo(f, 4)));
    expect(Array.from(first?.weights?.data.data as Int8Array)).toEqual(integers);
    const figures = first === undefined ? null : weightFigures(first);
    // The source's weights are what the integers stand for: only the rounding of f32 is left.
    expect(figures?.sqnr).toBeGreaterThan(100);
    expect(figures).toMatchObject({ perTensor: scale.length === 1, clipped: 0 });
    expect(figures?.stored).toBe(scale.length === 1 ? "i8, one scale" : "i8, 3 scales along axis 0");
  });
});

it("a factor that no scale can take is told, and the figures are of the products", async () => {
  const gamma = "0.7, -3, 0.5";
  const [first] = (await pairModels(graphOf(net(real([0.01]), gamma)), await quantized([0.01], gamma))).layers;
  const figures = first === undefined ? null : weightFigures(first);
  expect(first).toMatchObject({ weights: null, weightsLost: true });
  expect(figures?.stored).toBe("integers, which a BatchNorm apart scales");
  expect(figures?.sqnr).toBeGreaterThan(100);
});

it("factors of a BatchNorm that were rounded are no equalization", async () => {
  const pair = await pairModels(graphOf(net(real([0.01]), "0.7, 3, 0.5")), await quantized([0.01], "0.74, 2.85, 0.52"));
  expect(pair.equalized).toEqual([]);
  const figures = pair.layers[0] === undefined ? null : weightFigures(pair.layers[0]);
  expect(figures?.sqnr).toBeGreaterThan(20);
  expect(figures?.sqnr).toBeLessThan(30);
});
