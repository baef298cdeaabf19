/** What `cec check` and `cec build` say of a plan's passes before anything runs. */
import { expect, it } from "vitest";
import { type Diagnostic, type PassDefinition, runPipeline } from "../../../compiler/core/index.js";
import { openPlan } from "../../../compiler/driver/language.js";
import { findPass } from "../../../passes/index.js";
import { temporaryFolder, write } from "../../e2e/support.js";
import { graphOf } from "../passes/support.js";

const folder = temporaryFolder();
async function faults(steps: string, source = 'source onnx "model.onnx"'): Promise<readonly Diagnostic[]> {
  const path = write(
    folder,
    "plan.cplan",
    `data d {\n  all: generated { kind: normal, shape: [4], count: 4 }\n}\n\nplan p {\n  ${source}\n  calibrate d.all\n${steps}\n  emit onnx "out.onnx"\n}\n`,
  );
  return (await openPlan(path)).diagnostics;
}
const at = (d: Diagnostic | undefined): string => `${d?.span?.start.line}:${d?.span?.start.column}`;

it("statements in an order that cannot run are a fault at the statement, by the names that the plan uses", async () => {
  const [d, ...more] = await faults("  quantize int8 { recipe: fast }\n  fold_batch_norm");
  expect(more).toEqual([]);
  expect(d).toMatchObject({
    code: "CEC4004",
    severity: "error",
    message: "pass fold_batch_norm cannot stand after quantize",
    why: "fold_batch_norm takes graphs of level float, and quantize gives level quantized",
    help: "put fold_batch_norm before quantize",
  });
  expect(at(d)).toBe("9:3");
  const base = '  quantize int8\n  fold_batch_norm\n  emit onnx "a.onnx"\n}\n\nplan q extends p {';
  expect((await faults(base)).map((e) => e.code)).toEqual(["CEC4004"]);
  expect((await faults("  quantize weights\n  quantize int8"))[0]).toMatchObject({
    message: "pass quantize cannot stand after quantize",
    help: "leave one quantize out",
  });
});

it("of a source in IR text the level is not known yet, and of a plan with other faults the order is not judged", async () => {
  expect(await faults("  validate_quantization", 'source cir "model.cir"')).toEqual([]);
  expect((await faults("  quantize int8 { recpe: fast }\n  fold_batch_norm")).map((d) => d.code)).toEqual(["CEC2005"]);
});

it.each([
  ["  quantize int8 { recipe: fast, budget: 10 }", "budget", "only the recipe best searches", "8:41"],
  ["  quantize weights { recipe: accurate }", "recipe", "quantize weights takes `weights` and `keep`: the rest is of quantize int8", "8:30"],
  ["  quantize int8 { learning: { samples: 8 } }", "learning", "weights are rounded to the nearest: `rounding` gptq or adaround learns", "8:29"],
  ["  quantize int8 { recipe: fast, percentile: 99 }", "percentile", "ranges are chosen by mse: `range: percentile` uses it", "8:45"],
])("an option without effect is a warning at its value: %s", async (step, option, why, place) => {
  const [d, ...more] = await faults(step);
  expect(more).toEqual([]);
  expect(d).toMatchObject({ code: "CEC4032", severity: "warning", message: `\`${option}\` of quantize has no effect`, why });
  expect(at(d)).toBe(place);
});

it("options with an effect are none", async () => {
  for (const step of [
    "  quantize int8 { recipe: best, budget: 10, learning: { samples: 8 } }",
    "  quantize int8 { recipe: accurate, learning: { samples: 8 } }",
    "  quantize int8 { overrides: { fc: { range: percentile } }, percentile: 99 }",
    '  quantize dynamic { weights: per_tensor, keep: ["fc"] }',
  ])
    expect(await faults(step)).toEqual([]);
});

it("a pipeline without a plan warns of them too", async () => {
  const graph = graphOf('in %x : f32[N, 4]\nconst %w : f32[4, 3] = random(1)\n%y = matmul %x, %w @"m"\nout %y');
  const { warnings } = await runPipeline(graph, [{ pass: findPass("quantize") as PassDefinition, options: { mode: "weights", recipe: "fast" } }]);
  expect(warnings.map((w) => [w.code, w.message])).toEqual([["CEC4032", "`recipe` of quantize has no effect"]]);
});

it("a word where a list is wanted is told how to write one", async () => {
  const [d] = await faults('  quantize int8 { keep: "fc" }');
  expect(d).toMatchObject({ code: "CEC2006", message: "`keep` takes a list, and this is `fc`", help: 'write a list: ["fc"]' });
});
