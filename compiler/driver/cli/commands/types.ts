import { type Command, Option } from "commander";
import { Session, typesOf } from "../../../../runtime-native/ts/inference.js";
import { fail } from "../../../core/index.js";
import { writeFileAtomic } from "../../files.js";
import { print } from "../output.js";

export function addTypes(program: Command): void {
  program
    .command("types")
    .description("TypeScript types of a program's inputs and outputs, for Session.load")
    .argument("<program>", ".cecb file")
    .addOption(new Option("--prefix <name>", "beginning of the interfaces' names").default(""))
    .option("--output <file.ts>", "file to write; default: standard output")
    .action(async (path: string, o: { readonly prefix: string; readonly output?: string }) => {
      if (!/^([A-Za-z_$][\w$]*)?$/.test(o.prefix))
        fail("CEC1004", { message: `--prefix ${o.prefix} cannot begin a name`, help: "letters, digits, _ and $" });
      const session = await Session.load(path);
      const text = typesOf(session, o.prefix);
      session.dispose();
      if (o.output === undefined) print(text.trimEnd());
      else writeFileAtomic(o.output, new TextEncoder().encode(text));
    });
}
