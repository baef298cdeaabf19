/** Golden files of the language: a plan with, in its trailing comment, what is said about it. */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Diagnostic, renderDiagnostic } from "../../../compiler/core/diagnostics/index.js";
import { type CheckedFile, checkText, elaborate } from "../../../dsl/index.js";
import { declarations, loadPlugin, traceSink } from "../../unit/dsl/declarations.js";

const MARK = "// EXPECT";

export interface Golden {
  /** Without the trailing comment. */
  readonly text: string;
  readonly expected: string;
}

export function readGolden(path: string): Golden {
  const all = readFileSync(path, "utf8");
  const at = all.lastIndexOf(MARK);
  if (at < 0) return { text: all.trimEnd(), expected: "" };
  return {
    text: all.slice(0, at).trimEnd(),
    expected: all
      .slice(at + MARK.length)
      .split("\n")
      .map((l) => l.replace(/^\/\/ ?/, ""))
      .join("\n")
      .trim(),
  };
}

export const writtenGolden = (text: string, actual: string): string =>
  `${text}\n\n${MARK}\n${actual
    .split("\n")
    .map((l) => `// ${l}`.trimEnd())
    .join("\n")}\n`;

/** `// SET: a=1 b=[1,2]` and `// ENV: NAME=value` in the file's first lines. */
function settings(text: string, word: string): Record<string, string> {
  const line = new RegExp(`^// ${word}: (.*)$`, "m").exec(text)?.[1] ?? "";
  return Object.fromEntries(
    line
      .split(/\s+/)
      .filter((w) => w !== "")
      .map((w) => [w.slice(0, w.indexOf("=")), w.slice(w.indexOf("=") + 1)]),
  );
}

/** Everything but places in the text, which the diagnostics show. */
const plain = (v: unknown, dir: string): string =>
  JSON.stringify(v, (k, x: unknown) =>
    k === "span" || k === "spans" || k === "baseDir"
      ? undefined
      : x === Number.POSITIVE_INFINITY
        ? "end"
        : typeof x === "string"
          ? x.replaceAll(`${dir}/`, "").replaceAll(dir, ".")
          : x,
  );

function shownFile(file: CheckedFile, dir: string): string[] {
  return [
    ...[...file.params.values()].map((p) => `param ${p.name}: ${p.type} = ${JSON.stringify(p.value)}, default ${JSON.stringify(p.default)}`),
    ...[...file.data.values()].map((d) => `data ${d.name} = ${d.kind} ${plain(d.options, dir)}`),
    ...[...file.plans.values()].flatMap((p) => [
      `plan ${p.name} seed ${p.seed}`,
      `  source ${plain(p.source, dir)}`,
      ...(p.calibrate === null ? [] : [`  calibrate ${plain(p.calibrate, dir)}`]),
      ...p.evaluate.map((e) => `  evaluate ${plain(e, dir)}`),
      ...p.steps.map((s) => `  step ${plain(s, dir)}`),
      ...p.requires.map((r) => `  require ${plain(r, dir)}`),
      ...p.emits.map((e) => `  emit ${plain(e, dir)}`),
    ]),
  ];
}

export interface Outcome {
  readonly diagnostics: readonly Diagnostic[];
  readonly text: string;
}

/** Checks the file, runs its models into a sink, and tells all that was said. With `// SHOW` in the file also what came of it. */
export async function runGolden(path: string, text: string): Promise<Outcome> {
  const file = await checkText(text, path, { declarations, set: settings(text, "SET"), env: settings(text, "ENV"), loadPlugin });
  const diagnostics = [...file.diagnostics];
  const dir = dirname(path);
  const shown = shownFile(file, dir);
  for (const model of file.models.values()) {
    if (model.params.some((p) => p.default === undefined)) continue;
    const { sink, lines } = traceSink();
    elaborate(file, model.name, {}, sink, (d) => diagnostics.push(d));
    shown.push(`model ${model.name}`, ...lines.map((l) => `  ${l}`));
  }
  const parts = diagnostics.map((d) =>
    renderDiagnostic(d, (f) => file.sources.get(f))
      .replaceAll(`${dir}/`, "")
      .replaceAll(dir, "."),
  );
  if (diagnostics.length === 0) parts.push("no faults");
  if (/^\/\/ SHOW$/m.test(text)) parts.push(shown.join("\n"));
  return { diagnostics, text: parts.join("\n\n").replaceAll(path, basename(path)) };
}
