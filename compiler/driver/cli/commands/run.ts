import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { fail, formatType, suggest, type Tensor } from "../../../core/index.js";
import { encodeNpy, readNpy } from "../../data/npy.js";
import { chooseEngine } from "../../engine/index.js";
import { writeFileAtomic } from "../../files.js";
import { loadModel } from "../../model.js";
import { cleanForEngine } from "../../prepare.js";
import { type EngineOptions, engineOption, jsonOption, keyValue, threadsOption } from "../options.js";
import { note, print, printJson } from "../output.js";

interface RunFlags extends EngineOptions {
  readonly input: Readonly<Record<string, string>>;
  readonly output: string;
  readonly json?: true;
}

/** An output's name as a file name. */
const fileName = (name: string): string => `${name.replace(/[^A-Za-z0-9_.-]/g, "_")}.npy`;

export function addRun(program: Command): void {
  program
    .command("run")
    .description("run a model on NumPy arrays")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .addOption(new Option("--input <name=file.npy>", "array for an input; may be repeated").argParser(keyValue("--input")).default({}, "none"))
    .option("--output <dir>", "folder for one .npy file per output", "out")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (path: string, o: RunFlags) => {
      const { graph } = await loadModel(path);
      const names = graph.inputs.map((v) => v.name);
      for (const name of Object.keys(o.input))
        if (!names.includes(name))
          fail("CEC1004", { message: `the model has no input "${name}"`, help: suggest(name, names) || `its inputs are ${names.join(", ")}` });
      const feeds: Record<string, Tensor> = {};
      for (const v of graph.inputs) {
        const file =
          o.input[v.name] ??
          fail("CEC1004", { message: `input "${v.name}" has no array`, help: `add --input ${v.name}=FILE.npy (${formatType(v.type)})` });
        feeds[v.name] = readNpy(file);
        const t = feeds[v.name] as Tensor;
        if (v.type.kind === "tensor" && v.type.elem !== t.type)
          fail("CEC1004", {
            message: `input "${v.name}" takes ${formatType(v.type)}, and ${file} holds ${t.type}[${t.dims.join(", ")}]`,
            help: `save it as ${v.type.elem}`,
          });
      }
      await cleanForEngine(graph);
      const engine = await chooseEngine(graph, o.engine, o.threads);
      if (engine.note !== null) note(engine.note);
      const session = await engine.executor.prepare(graph);
      const outputs = await session.run(feeds).finally(() => session.dispose());
      const written = Object.entries(outputs).map(([name, t]) => {
        const file = join(resolve(o.output), fileName(name));
        writeFileAtomic(file, encodeNpy(t));
        return { name, type: t.type, dims: t.dims, file };
      });
      if (o.json === true) printJson({ engine: engine.name, outputs: written });
      else for (const w of written) print(`${w.name}: ${w.type}[${w.dims.join(", ")}] -> ${w.file}`);
    });
}
