import { type Command, Option } from "commander";
import { chooseEngine } from "../../engine/index.js";
import { measureLatency, syntheticFeeds } from "../../latency.js";
import { loadModel } from "../../model.js";
import { cleanForEngine } from "../../prepare.js";
import { type EngineOptions, engineOption, jsonOption, positiveNumber, threadsOption, wholeNumber } from "../options.js";
import { note, print, printJson } from "../output.js";

interface BenchFlags extends EngineOptions {
  readonly batch: number;
  readonly seconds: number;
  readonly json?: true;
}

export function addBench(program: Command): void {
  program
    .command("bench")
    .description("latency of a model: median and 90th percentile")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .addOption(new Option("--batch <n>", "samples in one run, where the model leaves it free").argParser(wholeNumber("--batch", 1, 65536)).default(1))
    .addOption(new Option("--seconds <n>", "time to measure for").argParser(positiveNumber("--seconds", 3600)).default(3))
    .addOption(engineOption())
    .addOption(threadsOption(1, "1"))
    .addOption(jsonOption())
    .action(async (path: string, o: BenchFlags) => {
      const { graph } = await loadModel(path);
      await cleanForEngine(graph);
      const engine = await chooseEngine(graph, o.engine, o.threads);
      if (engine.note !== null) note(engine.note);
      const session = await engine.executor.prepare(graph);
      try {
        const feeds = syntheticFeeds(graph, o.batch);
        const { model } = await measureLatency({ model: { session, feeds } }, { budgetMs: o.seconds * 1000, maxRuns: 100_000 });
        if (model === undefined) return;
        const round = (v: number): number => Number(v.toFixed(4));
        const result = {
          model: path,
          engine: engine.name,
          threads: o.threads,
          batch: o.batch,
          medianMs: round(model.medianMs),
          p90Ms: round(model.p90Ms),
          runs: model.runs,
        };
        if (o.json === true) printJson(result);
        else
          print(
            `${path}, ${engine.name}, ${o.threads} thread${o.threads === 1 ? "" : "s"}, batch ${o.batch}: median ${result.medianMs} ms, p90 ${result.p90Ms} ms, ${result.runs} runs`,
          );
      } finally {
        session.dispose();
      }
    });
}
