import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { passReference } from "../../../compiler/driver/reference.js";
import { passes } from "../../../passes/index.js";

const path = fileURLToPath(new URL("../../../docs/reference/passes.md", import.meta.url));

it("docs/reference/passes.md is what the declarations say (CEC_UPDATE=1 writes it)", () => {
  const text = `${passReference().trimEnd()}\n`;
  if (process.env["CEC_UPDATE"] === "1") {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  expect(existsSync(path) ? readFileSync(path, "utf8") : "").toBe(text);
});

it("the page names every pass, every statistic, and its levels", () => {
  const text = passReference();
  for (const [name, p] of passes) {
    const at = text.indexOf(`### \`${name}\`\n`);
    expect(at, name).toBeGreaterThan(0);
    const section = text.slice(at, text.indexOf("\n### ", at + 4) < 0 ? undefined : text.indexOf("\n### ", at + 4));
    expect(section).toContain(p.summary);
    for (const s of Object.keys(p.statistics)) expect(section).toContain(`\`${s}\``);
    for (const level of [p.from].flat()) expect(section).toContain(level);
  }
});
