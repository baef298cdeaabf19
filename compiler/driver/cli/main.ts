#!/usr/bin/env node
/** `cec`: the command line. Exit codes: 0 fine, 1 the input is at fault, 2 a requirement does not hold, 70 our bug. */
import { Command, CommanderError } from "commander";
import { CecError, diagnostic } from "../../core/index.js";
import { removePending } from "../files.js";
import { version } from "../version.js";
import { addAnalyze } from "./commands/analyze.js";
import { addBench } from "./commands/bench.js";
import { addBisect } from "./commands/bisect.js";
import { addBuild } from "./commands/build.js";
import { addDiff } from "./commands/diff.js";
import { addDoctor } from "./commands/doctor.js";
import { addEval } from "./commands/eval.js";
import { addInspect } from "./commands/inspect.js";
import { addCheck, addExplain, addFmt } from "./commands/language.js";
import { addOpt } from "./commands/opt.js";
import { addPasses } from "./commands/passes.js";
import { addQuantize } from "./commands/quantize.js";
import { addRun } from "./commands/run.js";
import { addTypes } from "./commands/types.js";
import { interrupt } from "./interrupt.js";
import { printDiagnostics, printJson } from "./output.js";

const program = new Command("cec")
  .description("Compression engine compiler: makes neural networks smaller and faster and proves that they are still right")
  .version(version)
  .showHelpAfterError("(add --help for the options)")
  .exitOverride()
  // Before the commands, which take it over as they are made.
  .configureOutput({ outputError: (text, write) => write(`error[CEC1001]: ${text.replace(/^error: /, "")}`) });

for (const add of [
  addBuild,
  addCheck,
  addFmt,
  addExplain,
  addQuantize,
  addInspect,
  addRun,
  addTypes,
  addEval,
  addAnalyze,
  addBench,
  addDiff,
  addOpt,
  addBisect,
  addPasses,
  addDoctor,
])
  add(program);

/** Ctrl-C: staged files go, nothing stays under a final name. */
function stopOn(signal: "SIGINT" | "SIGTERM"): void {
  process.on(signal, () => {
    if (signal === "SIGINT" && interrupt()) return;
    removePending();
    printDiagnostics([diagnostic("CEC1005", { message: `stopped by ${signal}`, help: "no output was put into place" })]);
    process.exit(1);
  });
}
stopOn("SIGINT");
stopOn("SIGTERM");
// A reader that goes away (`cec inspect … | head`) is no fault.
process.stdout.on("error", (e: NodeJS.ErrnoException) => process.exit(e.code === "EPIPE" ? 0 : 1));

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its own message.
    return error.exitCode === 0 ? 0 : 1;
  }
  const known =
    error instanceof CecError
      ? error
      : new CecError(
          [
            diagnostic("CEC9001", {
              message: `internal error: ${error instanceof Error ? error.message : String(error)}`,
              why: (error instanceof Error && error.stack?.split("\n").slice(1, 4).join(" ").trim()) || "no stack",
              help: "please report this with the command line and the input",
            }),
          ],
          70,
        );
  // A requirement that does not hold has its report on standard output already.
  if (process.argv.includes("--json") && known.exitCode !== 2) printJson({ ok: false, diagnostics: known.diagnostics });
  printDiagnostics(known.diagnostics);
  return known.exitCode;
}

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
