import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { CecError } from "../../../core/index.js";
import { type BuildOptions, build, choosePlan, jsonNumber } from "../../build/index.js";
import { reportTable } from "../../build/report.js";
import { sweep, sweepTable, sweepValues } from "../../build/sweep.js";
import { openPlan, throwErrors } from "../../language.js";
import { interruptible } from "../interrupt.js";
import { type EngineOptions, engineOption, jsonOption, setOption, sweepOption, threadsOption, wholeNumber } from "../options.js";
import { note, type Progress, print, printDiagnostics, progress, style } from "../output.js";

interface BuildFlags extends EngineOptions {
  readonly plan?: string;
  readonly out: string;
  readonly set: Readonly<Record<string, string>>;
  readonly sweep?: Readonly<Record<string, string>>;
  readonly dumpIr?: string | true;
  readonly dumpDir?: string;
  readonly verify: "off" | "each" | "numeric";
  readonly stopAfterPatch?: number;
  readonly json?: true;
}

export function addBuild(program: Command): void {
  program
    .command("build")
    .description("run a plan: compress, prove, write")
    .argument("<file>", "plan file (.cplan)")
    .option("--plan <name>", "plan of the file; needed where it has several")
    .option("--out <dir>", "folder of the outputs and report.json", "out")
    .addOption(setOption())
    .addOption(sweepOption())
    .option("--dump-ir [which]", "write IR after passes: all, changed, or names of passes")
    .option("--dump-dir <dir>", "folder of the dumps; by default ir/ in the output folder")
    .addOption(new Option("--verify <how>", "checks around passes").choices(["off", "each", "numeric"]).default("each"))
    .addOption(new Option("--stop-after-patch <n>", "end after this patch; writes no model").argParser(wholeNumber("--stop-after-patch", 0, 1e9)))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (path: string, o: BuildFlags) => {
      const bar = progress();
      const options: BuildOptions = {
        out: resolve(o.out),
        verify: o.verify,
        threads: o.threads,
        ...(o.engine === undefined ? {} : { engine: o.engine }),
        ...(o.dumpIr === undefined ? {} : { dumpIr: o.dumpIr === true ? "all" : o.dumpIr }),
        ...(o.dumpDir === undefined ? {} : { dumpDir: resolve(o.dumpDir) }),
        ...(o.stopAfterPatch === undefined ? {} : { stopAfterPatch: o.stopAfterPatch }),
        onProgress: bar.update,
        interruptible,
      };
      if (o.sweep !== undefined) return runSweep(path, o, options, bar);
      const file = await openPlan(path, o.set);
      throwErrors(file);
      printDiagnostics(file.diagnostics);
      const result = await build(file, choosePlan(file, o.plan), options).finally(bar.stop);
      printDiagnostics(result.report.warnings);
      print(o.json === true ? JSON.stringify(result.report, jsonNumber, 2) : reportTable(result.report, style));
      if (o.json !== true) for (const path of result.reports) print(`wrote ${path}`);
      if (result.broken.length > 0) throw new CecError([...result.broken], 2);
    });
}

async function runSweep(path: string, o: BuildFlags, options: BuildOptions, bar: Progress): Promise<void> {
  const values = Object.fromEntries(Object.entries(o.sweep ?? {}).map(([name, text]) => [name, sweepValues(text)]));
  const rows = await sweep(path, {
    ...options,
    ...(o.plan === undefined ? {} : { plan: o.plan }),
    set: o.set,
    values,
    onRun: (done, total, folder) => note(`${done + 1} of ${total}: ${folder}`),
    onBuilt(result) {
      bar.stop();
      printDiagnostics(result.report.warnings);
    },
  }).finally(bar.stop);
  print(o.json === true ? JSON.stringify(rows, jsonNumber, 2) : sweepTable(rows, style));
  if (o.json !== true) print(`wrote ${join(options.out, "sweep.json")}`);
  process.exitCode = rows.some((r) => r.outcome === "failed") ? 1 : rows.some((r) => r.outcome === "broken") ? 2 : 0;
}
