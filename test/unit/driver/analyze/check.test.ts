/** Models that are not a float model and what was made of it. */
import { expect, it } from "vitest";
import { type CecError, type Graph, parseIrFile } from "../../../../compiler/core/index.js";
import { checkPair, checkSource } from "../../../../compiler/driver/analyze/check.js";
import type { AnalyzeOptions } from "../../../../compiler/driver/analyze/index.js";
import { pairModels } from "../../../../compiler/driver/analyze/layers.js";

const graphOf = (body: string): Graph => parseIrFile(`cir 1\ngraph @g level=float {\n${body}\n}`, { infer: true }).graph;
/** Products in a row; `seeds` of their weights. */
const chain = (seeds: readonly number[]): Graph =>
  graphOf(
    `in %x : f32[N, 4]\n${seeds
      .map(
        (s, i) =>
          `const %w${i} : f32[4, 4] = random(${s})\n%y${i} = matmul ${i === 0 ? "%x" : `%t${i - 1}`}, %w${i} @"fc${i}"\n%t${i} = tanh %y${i} @"t${i}"`,
      )
      .join("\n")}\n%z = sigmoid %t${seeds.length - 1} @"z"\nout %z`,
  );
const options = (source: Graph, compressed: Graph): AnalyzeOptions =>
  ({ source: { path: "a.onnx", graph: source }, compressed: { path: "b.onnx", graph: compressed } }) as unknown as AnalyzeOptions;

async function checked(source: Graph, compressed: Graph) {
  const o = options(source, compressed);
  try {
    return { warnings: checkPair(await pairModels(source, compressed), o), error: null };
  } catch (e) {
    return { warnings: [], error: (e as CecError).diagnostics[0] };
  }
}

it("weights that are mostly not alike: refused", async () => {
  const { error } = await checked(chain([1, 2, 3]), chain([4, 5, 3]));
  expect(error).toMatchObject({
    code: "CEC7007",
    why: expect.stringContaining('2 of 3 layers that have each other\'s place have weights that are not alike (cosine below 0.5), first "fc0"'),
  });
});

it("one layer of three that was trained anew is no reason to refuse", async () => {
  expect(await checked(chain([1, 2, 3]), chain([1, 2, 4]))).toEqual({ warnings: [], error: null });
});

it.each([
  [
    [1, 2, 3, 4, 5],
    [1, 2],
  ],
  [
    [1, 2],
    [1, 2, 3, 4, 5],
  ],
])("under half of the weighted ops match, %j against %j: warned", async (a, b) => {
  const { warnings, error } = await checked(chain(a), chain(b));
  expect(error).toBeNull();
  expect(warnings.map((w) => [w.code, w.severity, w.message])).toEqual([
    ["CEC7007", "warning", "only 2 of 5 weighted ops have a counterpart: do a.onnx and b.onnx belong together?"],
  ]);
});

it("a source that is quantized itself is named as the cause", () => {
  const g = graphOf(
    'in %x : f32[N, 4]\nconst %s : f32[] = dense [0.1]\nconst %z : u8[] = dense [0]\n%q = quantize_linear %x, %s, %z @"first"\n%y = dequantize_linear %q, %s, %z\nout %y',
  );
  expect(() => checkSource(options(g, g))).toThrow("the source a.onnx is quantized already");
  expect(() => checkSource(options(chain([1]), g))).not.toThrow();
});
