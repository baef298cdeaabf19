import { readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { codes } from "../../../compiler/core/diagnostics/index.js";
import { readGolden, runGolden, writtenGolden } from "./runner.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const update = process.env["CEC_UPDATE"] === "1";

const topics = readdirSync(here, { withFileTypes: true })
  .filter((d) => d.isDirectory())
  .map((d) => d.name)
  .sort();

const seen = new Set<string>();

for (const topic of topics) {
  // Files that start with an underscore are there to be imported.
  for (const name of readdirSync(join(here, topic)).filter((f) => f.endsWith(".cplan") && !f.startsWith("_"))) {
    it(`${topic}: ${basename(name, ".cplan").replaceAll("-", " ")}`, async () => {
      const path = join(here, topic, name);
      const { text, expected } = readGolden(path);
      const outcome = await runGolden(path, text);
      for (const d of outcome.diagnostics) seen.add(d.code);
      if (update && outcome.text !== expected) writeFileSync(path, writtenGolden(text, outcome.text));
      else expect(outcome.text).toBe(expected);
    });
  }
}

it("each code of the language has a golden file", () => {
  expect(
    Object.keys(codes)
      .filter((c) => c.startsWith("CEC2"))
      .filter((c) => !seen.has(c)),
  ).toEqual([]);
});
