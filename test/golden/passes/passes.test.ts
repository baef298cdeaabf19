import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import type { PassDefinition } from "../../../compiler/core/index.js";
import { readCases, runCase } from "./runner.js";

const here = fileURLToPath(new URL(".", import.meta.url));
/** One list of all passes where there is one, else that of each group. */
const passes = join(here, "../../../passes");
const groups = ["canonicalize", "quantize", "prune", "cluster", "train", "precision", "lower"];
const indexes =
  [[join(passes, "index.ts")], groups.map((g) => join(passes, g, "index.ts"))].map((l) => l.filter((f) => existsSync(f))).find((l) => l.length > 0) ??
  [];
const update = process.env["CEC_UPDATE"] === "1";

const isPass = (v: unknown): v is PassDefinition => typeof v === "object" && v !== null && "keeps" in v && "statistics" in v && "name" in v;

/** All passes that the index files export, alone or in lists, maps and records. */
async function loadRegistry(): Promise<ReadonlyMap<string, PassDefinition>> {
  const exported: unknown[] = [];
  for (const file of indexes) exported.push(...Object.values((await import(pathToFileURL(file).href)) as Record<string, unknown>));
  const inside = exported.flatMap((v): unknown[] =>
    v instanceof Map ? [...v.values()] : Array.isArray(v) ? v : typeof v === "object" && v !== null && !isPass(v) ? Object.values(v) : [v],
  );
  return new Map(inside.filter(isPass).map((p) => [p.name, p]));
}

const folders = readdirSync(here, { withFileTypes: true })
  .filter((d) => d.isDirectory())
  .map((d) => d.name)
  .sort();
const registry = indexes.length > 0 ? await loadRegistry() : null;

it.skipIf(registry === null)("each folder is named after a pass", () => {
  expect(folders.filter((f) => registry?.has(f) !== true)).toEqual([]);
});

for (const folder of folders) {
  for (const file of readdirSync(join(here, folder))
    .filter((f) => f.endsWith(".cir"))
    .sort()) {
    const path = join(here, folder, file);
    const rewritten: string[] = [];
    const cases = readCases(`${folder}/${basename(file, ".cir")}`, readFileSync(path, "utf8"));
    for (const golden of cases) {
      it.skipIf(registry === null)(golden.name, async () => {
        const outcome = await runCase(golden, registry as ReadonlyMap<string, PassDefinition>);
        if (update) {
          rewritten.push(outcome.faults.length === 0 ? `${golden.head}\n${original(golden)}` : outcome.rewritten);
          if (rewritten.length === cases.length) writeFileSync(path, `${rewritten.map((t) => t.trim()).join("\n\n// -----\n\n")}\n`);
        } else expect(outcome.faults, `${path}:${golden.line}`).toEqual([]);
      });
    }
  }
}

/** The CHECK section as it stands: what holds is not rewritten. */
function original(golden: ReturnType<typeof readCases>[number]): string {
  switch (golden.expected?.kind) {
    case "graph":
      return `// CHECK\n${golden.expected.text.trim()}`;
    case "same":
      return "// CHECK-SAME";
    case "error":
      return `// CHECK-ERROR: ${golden.expected.code}${golden.expected.text === "" ? "" : ` ${golden.expected.text}`}`;
    default:
      return "";
  }
}
