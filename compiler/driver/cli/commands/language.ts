import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { codes, fail, isCode } from "../../../core/index.js";
import { writeFileAtomic } from "../../files.js";
import { openPlan, rememberText, throwErrors } from "../../language.js";
import { readText } from "../../model.js";
import { jsonOption, setOption } from "../options.js";
import { print, printDiagnostics, printJson } from "../output.js";

export function addCheck(program: Command): void {
  program
    .command("check")
    .description("check a plan file and name every fault")
    .argument("<file>", "plan file (.cplan)")
    .addOption(setOption())
    .addOption(jsonOption())
    .action(async (path: string, o: { readonly set: Readonly<Record<string, string>>; readonly json?: true }) => {
      const file = await openPlan(path, o.set);
      const faults = file.diagnostics.filter((d) => d.severity === "error").length;
      if (o.json === true && faults === 0) printJson({ ok: true, diagnostics: file.diagnostics });
      throwErrors(file);
      printDiagnostics(file.diagnostics);
      if (o.json !== true)
        print(`${path}: ${count(file.models.size, "model")}, ${count(file.data.size, "data set")}, ${count(file.plans.size, "plan")}, no faults`);
    });
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

export function addFmt(program: Command): void {
  program
    .command("fmt")
    .description("format plan files in place")
    .argument("<file...>", "plan files (.cplan)")
    .option("--check", "change nothing; exit code 1 where a file is not formatted")
    .option("--stdout", "print instead of writing")
    .action(async (paths: readonly string[], o: { readonly check?: true; readonly stdout?: true }) => {
      const { format } = await import("../../../../dsl/index.js");
      let unformatted = 0;
      for (const path of paths) {
        const before = readText(path);
        rememberText(path, before);
        const after = format(before, path);
        if (o.stdout === true) writeFileSync(1, after);
        else if (o.check === true) {
          if (after !== before) {
            print(`${path} is not formatted`);
            unformatted++;
          }
        } else if (after !== before) {
          writeFileAtomic(path, after);
          print(`formatted ${path}`);
        }
      }
      if (unformatted > 0) process.exitCode = 1;
    });
}

export function addExplain(program: Command): void {
  program
    .command("explain")
    .description("say more about a diagnostic code")
    .argument("<code>", "such as CEC2004")
    .action((text: string) => {
      const code = text.toUpperCase().replace(/^(\d)/, "CEC$1");
      if (!isCode(code)) {
        fail("CEC1003", { message: `there is no code \`${text}\``, help: "codes stand in brackets behind `error`, such as CEC2004" });
      } else print(`${code}: ${codes[code].title}\n\n${codes[code].text}`);
    });
}
