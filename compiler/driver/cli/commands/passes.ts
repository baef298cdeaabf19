import type { Command } from "commander";
import { passes } from "../../../../passes/index.js";
import { fail, suggest } from "../../../core/index.js";
import { passReference, passSection } from "../../reference.js";
import { print } from "../output.js";

export function addPasses(program: Command): void {
  program
    .command("passes")
    .description("list the passes that a plan may call, or describe one")
    .argument("[name]", "pass")
    .option("--markdown", "the whole reference page")
    .action((name: string | undefined, o: { readonly markdown?: true }) => {
      if (o.markdown === true) return void print(passReference().trimEnd());
      if (name === undefined) {
        const width = Math.max(...[...passes.keys()].map((n) => n.length));
        for (const [n, p] of passes) print(`${n.padEnd(width)}  ${p.summary}`);
        return;
      }
      const pass =
        passes.get(name.replaceAll("-", "_")) ?? fail("CEC2004", { message: `there is no pass \`${name}\``, help: suggest(name, passes.keys()) });
      print(passSection(pass).trimEnd());
    });
}
