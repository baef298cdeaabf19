import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { CecError } from "../../compiler/core/diagnostics/index.js";
import { randomFrom } from "../../compiler/core/random.js";
import { checkText, elaborate, format } from "../../dsl/index.js";
import { parse } from "../../dsl/parser.js";
import { declarations, loadPlugin, traceSink } from "../unit/dsl/declarations.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

function files(dir: string): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true, recursive: true })
    .filter((d) => d.isFile() && d.name.endsWith(".cplan"))
    .map((d) => join(d.parentPath, d.name))
    .sort();
}

/** Plans of all kinds: the product's models and every golden file. Faults that loop up to the limits are left to their golden tests. */
const texts = [...files("models"), ...files("test/golden/dsl").filter((f) => !f.includes("/limits/"))].map((f) => readFileSync(f, "utf8"));
const sound = texts.filter((t) => parse(t, "x.cplan").diagnostics.length === 0);

/** A tree without places. Spans are the only thing that formatting may change. */
const withoutSpans = (v: unknown): string => JSON.stringify(v, (k, x: unknown) => (k === "span" || k === "opSpan" ? undefined : x));

const pieces = [
  ..."{}[]()\"%@:,=\n\\-+.*/<>|&'#;$\u0000\uFEFF\u2028\u{1F600}",
  "|>",
  "//",
  "1e999",
  "99999999999999999999",
  "0x10",
  "1.0%",
  "0.3x",
  "4MiB",
  "${",
  "${HOME}",
  "plan ",
  "model m {",
  "block ",
  "if true {",
  "else ",
  "for i in ",
  "repeat 3 {",
  "return ",
  "not ",
  "- ",
  "[[",
  "__proto__",
  "constructor",
  "extends ",
  "import ",
  "input ",
  "output ",
  "data ",
  "param ",
];

/** A fault of the kind that editors, cut files and attackers make. */
function mutate(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length);
  const length = Math.floor(random() * 20);
  const piece = pieces[Math.floor(random() * pieces.length)] as string;
  switch (Math.floor(random() * 6)) {
    case 0:
      return text.slice(0, at);
    case 1:
      return text.slice(0, at) + text.slice(at + length);
    case 2:
      return text.slice(0, at) + piece + text.slice(at);
    case 3:
      return text.slice(0, at) + piece + text.slice(at + length);
    case 4:
      return text.slice(0, at) + text.slice(at, at + length).repeat(3) + text.slice(at + length);
    default: {
      const other = Math.floor(random() * text.length);
      return text.slice(0, at) + text.slice(other, other + length) + text.slice(at);
    }
  }
}

/** Formats where it can; only the user's faults are thrown. */
function formatted(text: string): string | null {
  try {
    return format(text, "x.cplan");
  } catch (error) {
    if (error instanceof CecError && error.exitCode === 1 && error.diagnostics.every((d) => d.code.startsWith("CEC2"))) return null;
    throw error;
  }
}

async function tryOut(text: string): Promise<void> {
  const path = "/plans/x.cplan";
  const env = { CEC_DATA: "/data" };
  const readFile = (): string => {
    throw new Error("there is no such file");
  };
  const file = await checkText(text, path, { declarations, env, loadPlugin, readFile });
  for (const d of file.diagnostics) expect(d.code).toMatch(/^CEC2/);
  for (const model of file.models.values()) {
    const { sink } = traceSink();
    elaborate(file, model.name, {}, sink, (d) => expect(d.code).toMatch(/^CEC[24]/));
  }
  const once = formatted(text);
  if (once === null) return;
  expect(format(once), "formatting twice").toBe(once);
  expect(withoutSpans(parse(once, path).items), "the tree after formatting").toBe(withoutSpans(parse(text, path).items));
  expect(parse(once, path).comments.map((c) => c.image.trim())).toEqual(parse(text, path).comments.map((c) => c.image.trim()));
}

it("there are plans to start from", () => {
  expect(texts.length).toBeGreaterThan(50);
  expect(sound.length).toBeGreaterThan(30);
});

it("formatting changes neither the tree nor the comments, and is done at once", async () => {
  for (const text of texts) await tryOut(text);
});

it("white space between tokens may be anything", async () => {
  const random = randomFrom(11);
  for (const text of sound) {
    for (let round = 0; round < 3; round++) {
      // Line ends stay: what follows a pass on its line belongs to it.
      const loose = text.replaceAll(/(?<=^[^"/\n]*)[ \t]+(?=[^"/\n]*$)/gm, () => [" ", "   ", "\t"][Math.floor(random() * 3)] as string);
      expect(withoutSpans(parse(loose, "x").items)).toBe(withoutSpans(parse(text, "x").items));
      await tryOut(loose);
    }
  }
});

it("line ends of other systems change nothing", () => {
  for (const text of sound) {
    const crlf = text.replaceAll("\n", "\r\n");
    expect(withoutSpans(parse(crlf, "x").items)).toBe(withoutSpans(parse(text, "x").items));
    expect(format(crlf)).toBe(format(text));
  }
});

it("mutated plans are checked, run and formatted without a crash", async () => {
  const random = randomFrom(2026);
  for (let round = 0; round < 3000; round++) {
    let text = texts[Math.floor(random() * texts.length)] as string;
    for (let n = 1 + Math.floor(random() * 4); n > 0; n--) text = mutate(text, random);
    try {
      await tryOut(text);
    } catch (error) {
      throw new Error(`round ${round}: ${(error as Error).message}\n${text}`, { cause: error });
    }
  }
});

it("bytes that are no text are told so", async () => {
  const random = randomFrom(7);
  for (let round = 0; round < 100; round++) {
    const bytes = Uint8Array.from({ length: 1 + Math.floor(random() * 3000) }, () => Math.floor(random() * 256));
    await tryOut(new TextDecoder().decode(bytes));
  }
});
