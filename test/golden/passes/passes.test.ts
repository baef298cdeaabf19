import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { passes as registered } from "../../../passes/index.js";
import { asItStands, readCases, runCase } from "./runner.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const update = process.env["CEC_UPDATE"] === "1";

/** By the names of their declarations, whichever spelling the registry has. */
const passes = new Map([...registered.values()].map((p) => [p.name, p]));

const folders = readdirSync(here, { withFileTypes: true })
  .filter((d) => d.isDirectory())
  .map((d) => d.name)
  .sort();

it("each folder is named after a pass", () => {
  expect(folders.filter((f) => !passes.has(f))).toEqual([]);
});

for (const folder of folders) {
  const files = readdirSync(join(here, folder)).filter((f) => f.endsWith(".cir"));
  for (const file of files.sort()) {
    const path = join(here, folder, file);
    const cases = readCases(`${folder}/${basename(file, ".cir")}`, readFileSync(path, "utf8"));
    const rewritten: string[] = [];
    for (const golden of cases) {
      it(golden.name, async () => {
        const outcome = await runCase(golden, passes);
        if (!update) expect(outcome.faults, `${path}:${golden.line}`).toEqual([]);
        else {
          // What holds stays as its author wrote it.
          rewritten.push(outcome.faults.length === 0 ? asItStands(golden) : outcome.rewritten);
          if (rewritten.length === cases.length) writeFileSync(path, `${rewritten.map((t) => t.trim()).join("\n\n// -----\n\n")}\n`);
        }
      });
    }
  }
}
