import Table from "cli-table3";
import { type Command, Option } from "commander";
import { fail, type GraphSession } from "../../../core/index.js";
import { formatMetric } from "../../build/report.js";
import { chooseEngine } from "../../engine/index.js";
import { evaluate } from "../../evaluate.js";
import { bindData } from "../../feeds.js";
import { type Metric, metrics } from "../../metrics.js";
import { loadModel } from "../../model.js";
import { cleanForEngine } from "../../prepare.js";
import { openReference } from "../../references.js";
import { type EngineOptions, engineOption, jsonOption, numbers, threadsOption, wholeNumber } from "../options.js";
import { note, print, printJson, progress, style } from "../output.js";

interface EvalFlags extends EngineOptions {
  readonly data: string;
  readonly metric: string;
  readonly against?: string;
  readonly samples?: number;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly json?: true;
}

function parseMetrics(text: string): Metric[] {
  return text.split(",").map((t) => {
    const name = t.trim();
    if (!Object.hasOwn(metrics, name))
      fail("CEC1001", { message: `there is no metric \`${name}\``, help: `metrics are ${Object.keys(metrics).join(", ")}` });
    return name as Metric;
  });
}

export function addEval(program: Command): void {
  program
    .command("eval")
    .description("metrics of a model on a data set")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .requiredOption("--data <data>", "FILE.cplan#NAME[0:512], a folder of images, or .npy/.npz")
    .option("--metric <names>", `one or more of ${Object.keys(metrics).join(", ")}`, "top1")
    .option("--against <model>", "source model, for agreement, flips, cosine, sqnr and mse")
    .addOption(new Option("--samples <n>", "the first n samples only").argParser(wholeNumber("--samples", 1, 1e9)))
    .addOption(new Option("--mean <list>", "per channel, for a folder of images").argParser(numbers("--mean")))
    .addOption(new Option("--std <list>", "per channel, for a folder of images").argParser(numbers("--std")))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (path: string, o: EvalFlags) => {
      const wanted = parseMetrics(o.metric);
      const open = async (p: string) => {
        const { graph } = await loadModel(p);
        await cleanForEngine(graph);
        const engine = await chooseEngine(graph, o.engine, o.threads);
        if (engine.note !== null) note(engine.note);
        return { graph, engine, session: await engine.executor.prepare(graph) };
      };
      const model = await open(path);
      const sessions: Record<string, GraphSession> = { model: model.session };
      if (o.against !== undefined) sessions["source"] = (await open(o.against)).session;
      const bar = progress();
      try {
        const data = await openReference(o.data, model.graph, {
          ...(o.mean === undefined ? {} : { mean: o.mean }),
          ...(o.std === undefined ? {} : { std: o.std }),
        });
        const needsLabels = wanted.filter((m) => metrics[m].needsLabels);
        if (!data.hasLabels && needsLabels.length > 0)
          fail("CEC5003", {
            message: `data set ${data.name} has no labels`,
            why: `${needsLabels.join(", ")} needs them`,
            help: "use --against SOURCE with agreement or flips",
          });
        const comparing = wanted.filter((m) => !metrics[m].needsLabels);
        if (o.against === undefined && comparing.length > 0)
          fail("CEC1001", { message: `${comparing.join(", ")} compares with a source model`, help: "add --against SOURCE" });
        const output = model.graph.outputs[0]?.name ?? fail("CEC1004", { message: "the model has no outputs" });
        const { results: result } = await evaluate(bindData(data, model.graph), sessions, {
          output,
          ...(o.against === undefined ? {} : { reference: "source" }),
          ...(o.samples === undefined ? {} : { limit: o.samples }),
          onProgress: (f, what) => bar.update("evaluate", f, what),
        });
        bar.stop();
        const { values, samples, nonFinite } = result["model"] as NonNullable<(typeof result)["model"]>;
        if (o.json === true) {
          printJson({
            model: path,
            data: data.name,
            engine: model.engine.name,
            samples,
            nonFinite,
            metrics: Object.fromEntries(wanted.map((m) => [m, values[m]])),
          });
          return;
        }
        const table = new Table({
          head: ["metric", "value"].map(style.bold),
          colAligns: ["left", "right"],
          style: { head: [], border: [], compact: true },
        });
        for (const m of wanted) table.push([m, formatMetric(m, values[m])]);
        print(`${path} on ${data.name}, ${samples} samples, ${model.engine.name}`);
        print(table.toString());
        if (nonFinite > 0) print(style.yellow(`${nonFinite} outputs are NaN or infinite`));
      } finally {
        bar.stop();
        for (const s of Object.values(sessions)) s.dispose();
      }
    });
}
