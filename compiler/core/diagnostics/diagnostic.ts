/** Diagnostics: what is wrong, where, why, and what to do; one form for the language, models, passes and the command line. */
import { type Code, codes } from "./codes/index.js";

export interface Position {
  /** 1-based. */
  readonly line: number;
  readonly column: number;
  /** 0-based, in UTF-16 units. */
  readonly offset: number;
}

export interface Span {
  readonly file: string;
  readonly start: Position;
  readonly end: Position;
}

export type Severity = "error" | "warning" | "note";

export interface Diagnostic {
  readonly code: Code;
  readonly severity: Severity;
  /** What is wrong, in one line. */
  readonly message: string;
  readonly why?: string;
  /** What to do. */
  readonly help?: string;
  readonly span?: Span;
  /** Place in a model. */
  readonly at?: { readonly node?: string; readonly tensor?: string; readonly file?: string };
}

/** Process exit codes: the input is at fault, a `require` does not hold, our bug. */
export type ExitCode = 1 | 2 | 70;

export class CecError extends Error {
  readonly diagnostics: readonly Diagnostic[];
  readonly exitCode: ExitCode;
  constructor(diagnostics: readonly Diagnostic[], exitCode?: ExitCode) {
    const first = diagnostics[0];
    super(first === undefined ? "unknown error" : `${first.code}: ${first.message}${first.why === undefined ? "" : ` (${first.why})`}`);
    this.name = "CecError";
    this.diagnostics = diagnostics;
    this.exitCode = exitCode ?? (first?.code.startsWith("CEC9") ? 70 : 1);
  }
}

export type Details = Omit<Diagnostic, "code" | "severity"> & { readonly severity?: Severity };

export const diagnostic = (code: Code, details: Details): Diagnostic => ({ severity: "error", ...details, code });

/** Throws a `CecError` with one diagnostic. */
export function fail(code: Code, details: Details): never {
  throw new CecError([diagnostic(code, details)]);
}

/** Runs; a fault that has no place of its own in a text gets `span`. */
export async function placed<T>(span: Span, run: () => T | Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof CecError)) throw error;
    const [first, ...rest] = error.diagnostics;
    throw first === undefined || first.span !== undefined ? error : new CecError([{ ...first, span }, ...rest], error.exitCode);
  }
}

export const isCode = (text: string): text is Code => Object.hasOwn(codes, text);

const identity = (s: string): string => s;
/** How a renderer colours its parts; identity functions give plain text. */
export interface Paint {
  readonly red: (s: string) => string;
  readonly yellow: (s: string) => string;
  readonly blue: (s: string) => string;
  readonly bold: (s: string) => string;
}
export const plain: Paint = { red: identity, yellow: identity, blue: identity, bold: identity };

const MAX_LINE = 400;

/**
 * A diagnostic as text, with the source line and carets where it has a span.
 * @param source gives the text of a file, or `undefined` when it cannot be had
 */
export function renderDiagnostic(d: Diagnostic, source: (file: string) => string | undefined = () => undefined, paint: Paint = plain): string {
  const colour = d.severity === "error" ? paint.red : d.severity === "warning" ? paint.yellow : paint.blue;
  const lines = [`${colour(`${d.severity}[${d.code}]`)}${paint.bold(`: ${d.message}`)}`];
  if (d.span !== undefined) {
    const { file, start, end } = d.span;
    const gutter = " ".repeat(String(start.line).length);
    lines.push(`${gutter}${paint.blue("-->")} ${file}:${start.line}:${start.column}`);
    const text = source(file)?.split(/\r?\n/)[start.line - 1];
    if (text !== undefined) {
      // Of a very long line the part around the fault is shown.
      const from = text.length > MAX_LINE ? Math.max(0, start.column - 1 - MAX_LINE / 4) : 0;
      const shown = text.slice(from, from + MAX_LINE);
      const length = (end.line === start.line ? end.column : text.length + 1) - start.column;
      // Tabs keep their width so that the carets stand under what they mark.
      const indent = shown.slice(0, start.column - 1 - from).replace(/[^\t]/g, " ");
      lines.push(
        `${gutter} ${paint.blue("|")}`,
        `${paint.blue(`${start.line} |`)} ${shown}`,
        `${gutter} ${paint.blue("|")} ${indent}${colour("^".repeat(Math.max(1, Math.min(length, shown.length - indent.length))))}`,
      );
    }
  } else if (d.at !== undefined) {
    const where = [d.at.file, d.at.node && `node "${d.at.node}"`, d.at.tensor && `tensor "${d.at.tensor}"`].filter(Boolean).join(", ");
    if (where !== "") lines.push(` ${paint.blue("-->")} ${where}`);
  }
  if (d.why !== undefined) lines.push(` ${paint.blue("=")} why: ${d.why}`);
  if (d.help !== undefined) lines.push(` ${paint.blue("=")} help: ${d.help}`);
  return lines.join("\n");
}

/** Optimal string alignment distance (Damerau 1964, restricted). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let d = Math.min((last[j] as number) + 1, (row[j - 1] as number) + 1, (last[j - 1] as number) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) d = Math.min(d, (before[j - 2] as number) + 1);
      row.push(d);
    }
    before = last;
    last = row;
  }
  return last[b.length] as number;
}

/** Longer names are no typos, and more candidates than this no table that a person wrote: hostile input must not cost time. */
const MAX_NEAREST = { length: 100, candidates: 5_000 };

/** The candidate that `name` most likely meant; `undefined` when none is near. */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  if (name.length > MAX_NEAREST.length) return undefined;
  let best: string | undefined;
  let distance = Math.max(2, Math.floor(name.length / 3)) + 1;
  let looked = 0;
  for (const c of candidates) {
    if (++looked > MAX_NEAREST.candidates) break;
    if (Math.abs(c.length - name.length) >= distance) continue;
    const d = editDistance(name.toLowerCase(), c.toLowerCase());
    if (d < distance) {
      best = c;
      distance = d;
    }
  }
  return best;
}

/** "did you mean `x`?", or the list of what there is. */
export function suggest(name: string, candidates: Iterable<string>): string {
  const all = [...candidates];
  const near = nearest(name, all);
  if (near !== undefined) return `did you mean \`${near}\`?`;
  return all.length === 0 ? "nothing of that kind is defined" : `there is: ${all.slice(0, 40).join(", ")}${all.length > 40 ? ", …" : ""}`;
}
