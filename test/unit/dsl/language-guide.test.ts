import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { z } from "zod";
import { renderDiagnostic } from "../../../compiler/core/diagnostics/index.js";
import { declarations } from "../../../compiler/driver/language.js";
import { elaborateModel } from "../../../compiler/driver/model.js";
import { checkText, format } from "../../../dsl/index.js";

const guide = readFileSync(new URL("../../../docs/language.md", import.meta.url), "utf8");
const examples = [...guide.matchAll(/^```cplan ?(.*)\n([\s\S]*?)^```$/gm)].map((m) => ({ name: m[1] ?? "", text: m[2] ?? "" }));

const loadPlugin = async () => [{ name: "my-pass", summary: "", options: z.object({ strength: z.number() }).strict() }];

/** Files that other examples import. */
const readFile = (path: string): string => {
  const file = examples.find((e) => e.name !== "" && path.endsWith(`/${e.name}`));
  if (file === undefined) throw new Error("there is no such example");
  return file.text;
};

it("the guide has examples", () => {
  expect(examples.length).toBeGreaterThan(8);
});

for (const [i, example] of examples.entries()) {
  it(`example ${i + 1} of the guide has no fault, is formatted, and its models are built`, async () => {
    const file = await checkText(example.text, "/guide/example.cplan", { declarations, env: { CEC_DATA: "/data" }, loadPlugin, readFile });
    expect(file.diagnostics.map((d) => renderDiagnostic(d, (f) => file.sources.get(f))).join("\n")).toBe("");
    expect(format(example.text)).toBe(example.text);
    for (const model of file.models.keys()) expect((await elaborateModel(file, model, {}, 0)).ops.length).toBeGreaterThan(5);
  });
}

it("the fault in the guide is what is said", async () => {
  const text = '\nplan p {\n  source onnx "a.onnx"\n  qantize int8\n}\n';
  const file = await checkText(text, "/guide/plan.cplan", { declarations });
  expect(file.diagnostics.map((d) => renderDiagnostic(d, () => text).replace("/guide/", ""))).toEqual([
    /^```text\n([\s\S]*?)\n```$/m.exec(guide)?.[1],
  ]);
});
