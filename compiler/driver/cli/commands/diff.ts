import { type Command, Option } from "commander";
import { diffGraphs, fail } from "../../../core/index.js";
import { loadModel } from "../../model.js";
import { jsonOption } from "../options.js";
import { print, printJson } from "../output.js";

export function addDiff(program: Command): void {
  program
    .command("diff")
    .description("compare two models op by op")
    .argument("<a>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .argument("<b>", "likewise")
    .option("--no-names", "do not compare names of ops")
    .addOption(
      new Option("--tolerance <t>", "constants may differ by this share of their greatest magnitude")
        .argParser((t) => (Number(t) >= 0 ? Number(t) : fail("CEC1001", { message: `--tolerance takes a number from 0 up, not \`${t}\`` })))
        .default(0),
    )
    .addOption(jsonOption())
    .action(async (a: string, b: string, o: { readonly names: boolean; readonly tolerance: number; readonly json?: true }) => {
      const differences = diffGraphs((await loadModel(a)).graph, (await loadModel(b)).graph, { names: o.names, tolerance: o.tolerance });
      if (o.json === true) printJson({ equal: differences.length === 0, differences });
      else {
        for (const d of differences) print(d.message);
        print(differences.length === 0 ? "equal" : `${differences.length} difference${differences.length === 1 ? "" : "s"}`);
      }
      if (differences.length > 0) process.exitCode = 1;
    });
}
