import { type Command, Option } from "commander";
import { bisectPatches, fail, type Graph } from "../../../core/index.js";
import { choosePlan, openRef, planCalls, planSource } from "../../build/index.js";
import { chooseEngine } from "../../engine/index.js";
import { evaluate } from "../../evaluate.js";
import { bindData, calibrationOf } from "../../feeds.js";
import { openPlan, throwErrors } from "../../language.js";
import { type Metric, metrics } from "../../metrics.js";
import { cleanForEngine } from "../../prepare.js";
import { type EngineOptions, engineOption, jsonOption, setOption, threadsOption, wholeNumber } from "../options.js";
import { note, print, printJson } from "../output.js";

interface BisectFlags extends EngineOptions {
  readonly plan?: string;
  readonly set: Readonly<Record<string, string>>;
  readonly metric: Metric;
  readonly bound: number;
  readonly samples: number;
  readonly json?: true;
}

export function addBisect(program: Command): void {
  program
    .command("bisect")
    .description("find the patch of a plan's passes that costs the accuracy")
    .argument("<file>", "plan file (.cplan)")
    .option("--plan <name>", "plan of the file; needed where it has several")
    .addOption(setOption())
    .addOption(new Option("--metric <name>", "what judges a graph").choices(Object.keys(metrics)).default("agreement"))
    .addOption(
      new Option("--bound <value>", "a graph is good while the metric is no worse than this")
        .argParser((t) =>
          Number.isFinite(Number(t)) && t.trim() !== "" ? Number(t) : fail("CEC1001", { message: `--bound takes a number, not \`${t}\`` }),
        )
        .makeOptionMandatory(),
    )
    .addOption(new Option("--samples <n>", "evaluation samples of each judgement").argParser(wholeNumber("--samples", 1, 1e9)).default(256))
    .addOption(engineOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(async (path: string, o: BisectFlags) => {
      const file = await openPlan(path, o.set);
      throwErrors(file);
      const plan = choosePlan(file, o.plan);
      const first =
        plan.evaluate[0] ??
        fail("CEC2014", { message: `plan ${plan.name} has no evaluation data`, help: "add `evaluate agreement on DATA`", span: plan.span });
      const source = await planSource(file, plan);
      const reference = await cleanForEngine(source.graph.clone());
      const engine = await chooseEngine(reference, o.engine, o.threads);
      if (engine.note !== null) note(engine.note);
      const data = bindData(await openRef(file, first.data), reference);
      const calibration = plan.calibrate === null ? null : bindData(await openRef(file, plan.calibrate), reference);
      const output = reference.outputs[0]?.name ?? fail("CEC1004", { message: "the model has no outputs" });
      const before = await engine.executor.prepare(reference);
      const isGood = async (graph: Graph): Promise<boolean> => {
        const after = await (await chooseEngine(graph, o.engine, o.threads)).executor.prepare(graph);
        try {
          const { results } = await evaluate(data, { before, after }, { reference: "before", output, limit: o.samples });
          const value =
            results["after"]?.values[o.metric] ??
            fail("CEC7003", { message: `${o.metric} cannot be measured on ${data.data.name}`, help: "choose agreement, flips or sqnr" });
          note(`${o.metric} ${value}`);
          return metrics[o.metric].higherIsBetter ? value >= o.bound : value <= o.bound;
        } finally {
          after.dispose();
        }
      };
      try {
        const { patch, runs } = await bisectPatches(async () => cleanForEngine(source.graph.clone()), planCalls(plan), isGood, {
          seed: plan.seed,
          verify: "off",
          executor: engine.executor,
          calibration: calibration === null ? null : calibrationOf(calibration),
        });
        if (o.json === true) printJson({ patch, runs });
        else
          print(
            `patch ${patch.number} (${patch.pass}) at ${patch.at}: ${patch.reason}\n${runs} graphs were judged; see it with: cec build ${path} --stop-after-patch ${patch.number} --dump-ir=all`,
          );
      } finally {
        before.dispose();
      }
    });
}
