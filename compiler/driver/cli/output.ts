/** What the commands write to the terminal. Results go to standard output, all else to standard error. */
import { SingleBar } from "cli-progress";
import pc from "picocolors";
import { CecError, type Diagnostic, type Paint, renderDiagnostic } from "../../core/index.js";
import type { Style } from "../build/report.js";
import { sourceText } from "../language.js";

const colours = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true);
const errorColours = pc.createColors(pc.isColorSupported && process.stderr.isTTY === true);

export const style: Style = { bold: colours.bold, dim: colours.dim, green: colours.green, red: colours.red, yellow: colours.yellow };

const paint: Paint = { red: errorColours.red, yellow: errorColours.yellow, blue: errorColours.blue, bold: errorColours.bold };

export const print = (text: string): unknown => process.stdout.write(`${text}\n`);
export const printJson = (value: unknown): unknown =>
  print(JSON.stringify(value, (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v), 2));
export const note = (text: string): unknown => process.stderr.write(`${errorColours.dim(text)}\n`);

export function printDiagnostics(diagnostics: readonly Diagnostic[]): void {
  for (const d of diagnostics) process.stderr.write(`${renderDiagnostic(d, sourceText, paint)}\n`);
}

export interface Progress {
  update(stage: string, fraction: number, what: string): void;
  stop(): void;
}

/** Nothing is shown for work under this time. */
const QUIET_MS = 1000;

/** Between lines of work whose output goes to a file or a pipe. */
const LINE_MS = 30_000;

/** Lines for logs, one each `everyMs`: work that is shorter gives none. */
export function progressLines(write: (line: string) => unknown, everyMs = LINE_MS): Progress {
  let last = performance.now();
  return {
    update(stage, fraction, what) {
      if (performance.now() - last < everyMs) return;
      last = performance.now();
      write(`${Math.floor(100 * fraction)}% ${stage}: ${what}`);
    },
    stop() {},
  };
}

/** A bar on a terminal for work over a second; elsewhere a line now and then. */
export function progress(): Progress {
  if (process.stderr.isTTY !== true) return progressLines(note);
  const started = performance.now();
  let bar: SingleBar | null = null;
  return {
    update(stage, fraction, what) {
      if (bar === null) {
        if (performance.now() - started < QUIET_MS) return;
        bar = new SingleBar({
          format: "{bar} {percentage}% | {stage}: {what}",
          stream: process.stderr,
          hideCursor: true,
          clearOnComplete: true,
          barsize: 24,
          fps: 5,
        });
        bar.start(1000, 0, { stage, what });
      }
      bar.update(Math.round(fraction * 1000), { stage, what });
    },
    stop() {
      bar?.stop();
      bar = null;
    },
  };
}

export const isCecError = (e: unknown): e is CecError => e instanceof CecError;
