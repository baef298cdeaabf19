import { expect, it } from "vitest";
import { CecError } from "../../../compiler/core/diagnostics/index.js";
import { checkText, elaborate, format } from "../../../dsl/index.js";
import { MAX_CHARACTERS, MAX_TOKENS } from "../../../dsl/tokens.js";
import { declarations, traceSink } from "./declarations.js";
import { lines, texts } from "./hostile-texts.js";

/** What a text comes to: codes of its faults. That this ends, and throws nothing, is what is tested. */
async function codesOf(text: string): Promise<readonly string[]> {
  const file = await checkText(text, "/x.cplan", { declarations });
  const codes = file.diagnostics.map((d) => d.code as string);
  for (const name of file.models.keys()) elaborate(file, name, {}, traceSink().sink, (d) => codes.push(d.code));
  try {
    expect(format(format(text))).toBe(format(text));
  } catch (error) {
    if (!(error instanceof CecError) || error.exitCode !== 1) throw error;
  }
  return codes;
}

for (const [name, text] of Object.entries(texts)) {
  it(`hostile text ends in faults of the language: ${name}`, async () => {
    const codes = await codesOf(text());
    for (const code of codes) expect(code).toMatch(/^CEC2/);
    expect(codes.length).toBeLessThanOrEqual(110);
  });
}

it("a file that is too long is not read", async () => {
  expect(await codesOf(" ".repeat(MAX_CHARACTERS + 1))).toEqual(["CEC2015"]);
  expect(await codesOf("a ".repeat(MAX_TOKENS + 1))).toEqual(["CEC2015"]);
});

it("limits are met where they are meant to be", async () => {
  const met = async (name: string): Promise<boolean> => (await codesOf(texts[name]?.() ?? "")).includes("CEC2015");
  for (const name of [
    "a long chain of plans",
    "more declarations than anyone writes",
    "params that double",
    "blocks that double",
    "long expressions in a loop",
  ])
    expect(await met(name), name).toBe(true);
});

it("reading stops after a hundred faults and says so", async () => {
  const codes = await codesOf(`plan p {\n  source onnx "a"\n${lines(500, (i) => `  pass_${i}`)}\n}`);
  expect(codes).toHaveLength(101);
  expect(codes.at(-1)).toBe("CEC2015");
});
