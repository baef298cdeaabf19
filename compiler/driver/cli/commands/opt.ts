import { basename, join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { passes } from "../../../../passes/index.js";
import {
  blobsOf,
  dumpInstrument,
  formatPasses,
  packBlobs,
  parseIrFile,
  parsePasses,
  printGraph,
  resolvePasses,
  runPipeline,
} from "../../../core/index.js";
import { chooseEngine } from "../../engine/index.js";
import { bindData, calibrationOf } from "../../feeds.js";
import { writeFileAtomic } from "../../files.js";
import { loadModel, readText } from "../../model.js";
import { openReference } from "../../references.js";
import { type EngineOptions, engineOption, threadsOption, wholeNumber } from "../options.js";
import { note, print, printDiagnostics } from "../output.js";

interface OptFlags extends EngineOptions {
  readonly pass?: string;
  readonly output?: string;
  readonly calibrate?: string;
  readonly seed: number;
  readonly verify: "off" | "each" | "numeric";
  readonly dumpIr?: string | true;
  readonly dumpDir: string;
  readonly stopAfterPatch?: number;
}

export function addOpt(program: Command): void {
  program
    .command("opt")
    .description("run passes on a model and print the IR; replays reproducers")
    .argument("<model>", "IR text, ONNX file, or FILE.cplan#MODEL")
    .option("--pass <passes>", "passes with options: 'fold-batch-norm, fuse {residual=true}'; by default the RUN lines of the file")
    .option("-o, --output <file>", "write the IR here, and constants to a .blobs file beside")
    .option("--calibrate <data>", "samples for passes that need them and for --verify=numeric")
    .addOption(new Option("--seed <n>", "seed of the pipeline").argParser(wholeNumber("--seed", 0, 2 ** 31)).default(0))
    .addOption(new Option("--verify <how>", "checks around passes").choices(["off", "each", "numeric"]).default("each"))
    .option("--dump-ir [which]", "write IR after passes: all, changed, or names of passes")
    .option("--dump-dir <dir>", "folder of the dumps", "ir")
    .addOption(new Option("--stop-after-patch <n>", "end after this patch").argParser(wholeNumber("--stop-after-patch", 0, 1e9)))
    .addOption(engineOption())
    .addOption(threadsOption())
    .action(async (path: string, o: OptFlags) => {
      const { graph, format } = await loadModel(path);
      const lines =
        o.pass !== undefined
          ? parsePasses(o.pass, "--pass")
          : format === "cir"
            ? parseIrFile(readText(path), { file: path, lenient: true } as never).run
            : [];
      const calls = resolvePasses(lines, passes);
      const calibration = o.calibrate === undefined ? null : bindData(await openReference(o.calibrate, graph), graph);
      const engine = calibration === null ? null : await chooseEngine(graph, o.engine, o.threads);
      const result = await runPipeline(graph, calls, {
        seed: o.seed,
        verify: o.verify,
        executor: engine?.executor ?? null,
        calibration: calibration === null ? null : calibrationOf(calibration),
        ...(o.stopAfterPatch === undefined ? {} : { stopAfterPatch: o.stopAfterPatch }),
        instruments:
          o.dumpIr === undefined
            ? []
            : [dumpInstrument(o.dumpIr === true ? "all" : o.dumpIr, (name, data) => writeFileAtomic(join(resolve(o.dumpDir), name), data))],
      });
      printDiagnostics(result.warnings);
      if (result.passes.length > 0) note(formatPasses(result.passes));
      if (o.output === undefined) print(printGraph(graph).trimEnd());
      else {
        writeFileAtomic(`${o.output.replace(/\.cir$/, "")}.blobs`, packBlobs(blobsOf(graph)));
        writeFileAtomic(o.output, printGraph(graph));
        note(`wrote ${o.output} and ${basename(o.output).replace(/\.cir$/, "")}.blobs`);
      }
    });
}
