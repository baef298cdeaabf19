import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { analysisHtml } from "../../analyze/html.js";
import { analyze } from "../../analyze/index.js";
import { analysisTable } from "../../analyze/table.js";
import { chooseEngine } from "../../engine/index.js";
import { bindData } from "../../feeds.js";
import { writeFileAtomic } from "../../files.js";
import { loadModel } from "../../model.js";
import { cleanForEngine } from "../../prepare.js";
import { openReference, planReference } from "../../references.js";
import { type EngineOptions, engineOption, jsonOption, numbers, threadsOption, wholeNumber } from "../options.js";
import { note, print, printDiagnostics, printJson, progress, style } from "../output.js";

interface AnalyzeFlags extends EngineOptions {
  readonly data: string;
  readonly samples: number;
  readonly sensitivity: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly html?: string;
  readonly all?: true;
  readonly json?: true;
}

export function addAnalyze(program: Command): void {
  program
    .command("analyze")
    .description("per-layer error of a compressed model, outliers, coverage, sensitivity, and what to change")
    .argument("<source>", "the model before: ONNX file, IR text, or FILE.cplan#MODEL")
    .argument("<compressed>", "the model after: of cec, or a QDQ ONNX file of another tool")
    .requiredOption("--data <data>", "FILE.cplan#NAME[0:512], a folder of images, or .npy/.npz")
    .addOption(new Option("--samples <n>", "the first n samples only").argParser(wholeNumber("--samples", 1, 1e9)).default(64))
    .addOption(
      new Option("--sensitivity <n>", "samples of each sensitivity measurement; 0 leaves it out")
        .argParser(wholeNumber("--sensitivity", 0, 1e9))
        .default(16),
    )
    .addOption(new Option("--mean <list>", "per channel, for a folder of images").argParser(numbers("--mean")))
    .addOption(new Option("--std <list>", "per channel, for a folder of images").argParser(numbers("--std")))
    .option("--html <file>", "also write a page with plots")
    .option("--all", "every layer and quantizer, not only the worst")
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (sourcePath: string, compressedPath: string, o: AnalyzeFlags) => {
      const source = await loadModel(sourcePath);
      const compressed = await loadModel(compressedPath);
      await cleanForEngine(compressed.graph);
      const data = await openReference(o.data, source.graph, {
        ...(o.mean === undefined ? {} : { mean: o.mean }),
        ...(o.std === undefined ? {} : { std: o.std }),
      });
      const said = new Set<string>();
      const bar = progress();
      try {
        const report = await analyze({
          source: { path: sourcePath, graph: source.graph },
          compressed: { path: compressedPath, graph: compressed.graph },
          data: bindData(data, source.graph),
          dataName: planReference(o.data)?.name ?? null,
          samples: o.samples,
          sensitivity: o.sensitivity,
          async executorFor(graph) {
            const engine = await chooseEngine(graph, o.engine, o.threads);
            if (engine.note !== null && !said.has(engine.note)) note(engine.note);
            if (engine.note !== null) said.add(engine.note);
            return engine.executor;
          },
          onProgress: bar.update,
        });
        bar.stop();
        printDiagnostics(report.warnings);
        if (o.html !== undefined) writeFileAtomic(resolve(o.html), analysisHtml(report));
        if (o.json === true) printJson(report);
        else {
          print(analysisTable(report, style, o.all === true));
          if (o.html !== undefined) print(`wrote ${o.html}`);
        }
      } finally {
        bar.stop();
      }
    });
}
