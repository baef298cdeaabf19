import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { grammarEbnf } from "../../../dsl/index.js";

const readme = new URL("../../../dsl/README.md", import.meta.url);
const [open, close] = ["<!-- grammar -->", "<!-- /grammar -->"];

it("the grammar in dsl/README.md is that of the parser", () => {
  const text = readFileSync(readme, "utf8");
  const [from, to] = [text.indexOf(open) + open.length, text.indexOf(close)];
  const wanted = `\n\n\`\`\`ebnf\n${grammarEbnf()}\n\`\`\`\n\n`;
  if (process.env["CEC_UPDATE"] === "1") writeFileSync(readme, text.slice(0, from) + wanted + text.slice(to));
  else expect(text.slice(from, to)).toBe(wanted);
});

it("every rule that the grammar uses is defined in it", () => {
  const ebnf = grammarEbnf();
  const defined = new Set([...ebnf.matchAll(/^(\w+)\s*=/gm)].map((m) => m[1]));
  const used = [...ebnf.replaceAll(/"[^"]*"/g, "").matchAll(/\b[a-z]\w*/g)].map((m) => m[0]);
  expect(used.filter((u) => !defined.has(u))).toEqual([]);
  expect(defined.size).toBeGreaterThan(40);
});
