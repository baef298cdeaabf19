import { resolve } from "node:path";
import Table from "cli-table3";
import { type Command, Option } from "commander";
import { findPass } from "../../../../passes/index.js";
import type { MemoryPlan } from "../../../../runtime-native/ts/index.js";
import { fail, formatType, printGraph, type Recompute, runPipeline } from "../../../core/index.js";
import { formatBytes } from "../../build/report.js";
import { writeFileAtomic } from "../../files.js";
import { modelCost } from "../../inspect.js";
import { memoryOf } from "../../memory.js";
import { liveAt, memoryHtml, type NamedPlan } from "../../memory-page.js";
import { loadModel } from "../../model.js";
import { type TrainingMemory, trainingMemory } from "../../train/memory.js";
import { jsonOption, keyValue, setOption, wholeNumber } from "../options.js";
import { print, printJson, style } from "../output.js";

interface InspectFlags {
  readonly memory?: true;
  readonly shape: Readonly<Record<string, string>>;
  readonly train?: true;
  readonly batch?: number;
  readonly recompute?: Recompute;
  readonly html?: string;
  readonly set: Readonly<Record<string, string>>;
  readonly all?: true;
  readonly ir?: true;
  readonly raw?: true;
  readonly json?: true;
}

const ROWS = 12;

function printMemory(path: string, plan: MemoryPlan, o: InspectFlags): void {
  if (o.json === true) {
    printJson({ model: path, ...plan });
    return;
  }
  const step = (i: number): string => `${i} ${plan.steps[i] ?? ""}`;
  const rows = [...plan.buffers].sort((a, b) => b.bytes - a.bytes || a.first - b.first);
  const table = new Table({
    head: ["buffer", "bytes", "offset", "from step", "to step", "at the peak"].map(style.bold),
    colAligns: ["left", "right", "right", "left", "left", "left"],
    style: { head: [], border: [], compact: true },
  });
  for (const b of o.all === true ? rows : rows.slice(0, ROWS))
    table.push([
      b.scratch ? `scratch of ${b.name}` : b.shares.length === 0 ? b.name : `${b.name} and ${b.shares.length} in its place`,
      b.bytes.toLocaleString("en"),
      b.offset.toLocaleString("en"),
      step(b.first),
      step(b.last),
      b.first <= plan.liveStep && plan.liveStep <= b.last ? "yes" : "",
    ]);
  print(table.toString());
  if (o.all !== true && rows.length > ROWS) print(`${rows.length - ROWS} smaller buffers: add --all`);
  print(
    `arena ${formatBytes(plan.arenaBytes)}: ${(plan.arenaBytes / Math.max(1, plan.liveBytes)).toFixed(2)} times the least possible (${formatBytes(plan.liveBytes)} live at step ${step(plan.liveStep)}), ${formatBytes(plan.totalBytes)} without sharing`,
  );
  print(
    `weights ${formatBytes(plan.weightBytes)} as the engine holds them; results ${formatBytes(plan.outputBytes)}, written to the caller's arrays`,
  );
}

function recomputeOf(text: string): Recompute {
  const [kind = "", value] = text.split("=");
  const n = Number(value);
  if (value === undefined && (kind === "sqrt" || kind === "optimum")) return kind;
  if (kind === "every" && Number.isInteger(n) && n >= 1) return { every: n };
  if (kind === "budget" && Number.isFinite(n) && n > 0) return { budget: n };
  return fail("CEC1001", {
    message: `--recompute takes optimum, sqrt, every=N or budget=MIB, not \`${text}\``,
    help: "such as --recompute budget=200",
  });
}

async function inspectMemory(path: string, o: InspectFlags): Promise<void> {
  if (o.train !== true) {
    const plan = await memoryOf(path, o.shape);
    if (o.html !== undefined) writeFileAtomic(resolve(o.html), memoryHtml(path, "one run", [{ name: "as it runs", plan }], null));
    printMemory(path, plan, o);
  } else {
    const m = await trainingMemory(path, {
      set: o.set,
      ...(o.batch === undefined ? {} : { batch: o.batch }),
      ...(o.recompute === undefined ? {} : { recompute: o.recompute }),
    });
    const plans = [
      { name: "all kept", plan: m.without },
      { name: `recompute ${describeRecompute(m.recompute)}`, plan: m.with },
    ];
    const about = `a training step of ${m.batch} samples; parameters and the optimizer's state take ${formatBytes(m.stateBytes)} more`;
    if (o.html !== undefined) writeFileAtomic(resolve(o.html), memoryHtml(path, about, plans, m.lossStep));
    if (o.json === true) printJson({ model: path, ...m });
    else printTrainingMemory(path, about, plans, m);
  }
  if (o.html !== undefined && o.json !== true) print(`wrote ${o.html}`);
}

const describeRecompute = (r: Recompute): string => (typeof r === "string" ? r : "every" in r ? `every ${r.every}` : `within ${r.budget} MiB`);

const COLUMNS = 64;

/** Live bytes over the ops that run, as a line of blocks: the fullest moment of each column against `most`. */
function sparkline(live: readonly number[], columns: number, most: number): string {
  const blocks = "▁▂▃▄▅▆▇█";
  return Array.from({ length: columns }, (_, i) => {
    const part = live.slice(
      Math.floor((i * live.length) / columns),
      Math.max(Math.floor(((i + 1) * live.length) / columns), Math.floor((i * live.length) / columns) + 1),
    );
    return blocks[Math.min(7, Math.floor((8 * Math.max(0, ...part)) / Math.max(1, most)))];
  }).join("");
}

function printTrainingMemory(path: string, about: string, plans: readonly NamedPlan[], m: TrainingMemory): void {
  print(`${style.bold(path)}: ${about}`);
  const table = new Table({
    head: ["", "working memory", "fullest moment", "at", "ops"].map(style.bold),
    colAligns: ["left", "right", "right", "left", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, plan } of plans)
    table.push([
      name,
      formatBytes(plan.arenaBytes),
      formatBytes(plan.liveBytes),
      `${plan.liveStep} ${plan.steps[plan.liveStep] ?? ""}`,
      plan.steps.length,
    ]);
  print(table.toString());
  const longest = Math.max(...plans.map((p) => p.plan.steps.length));
  const most = Math.max(m.without.liveBytes, m.with.liveBytes);
  for (const { name, plan } of plans) print(`${sparkline(liveAt(plan), Math.round((COLUMNS * plan.steps.length) / longest), most)}  ${name}`);
  print(
    `${(m.without.arenaBytes / m.with.arenaBytes).toFixed(2)} times less working memory, ${m.with.steps.length - m.without.steps.length} of ${m.lossStep + 1} forward ops run twice`,
  );
}

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("ops, parameters, multiply-adds and bytes of a model")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL; with --memory a .cecb file too")
    .option("--memory", "print how the native engine places the model's tensors in memory instead")
    .addOption(
      new Option("--shape <input=1,3,224,224>", "with --memory: dims of an input; free ones are 1")
        .argParser(keyValue("--shape"))
        .default({}, "none"),
    )
    .option(
      "--train",
      "with --memory: of a training step, with and without activations that are made again; FILE.cplan#PLAN is its first `train`, `qat` or `distill`, a model trains with SGD",
    )
    .addOption(
      new Option("--batch <n>", "with --train: samples of a step; default: the plan's, or 128").argParser(wholeNumber("--batch", 1, 1 << 24)),
    )
    .addOption(
      new Option("--recompute <how>", "with --train: optimum, sqrt, every=N or budget=MIB; default: the plan's, or optimum").argParser(recomputeOf),
    )
    .option("--html <file>", "with --memory: also write the timeline as a page with plots")
    .addOption(setOption())
    .option("--all", "with --memory: every buffer, not only the largest")
    .option("--ir", "print the IR text instead")
    .option("--raw", "as the file has it, without folding shapes and constants first")
    .addOption(jsonOption())
    .action(async (path: string, o: InspectFlags) => {
      if (o.memory === true) return inspectMemory(path, o);
      const { graph, bytes } = await loadModel(path, o.set);
      const clean = findPass("canonicalize");
      if (o.raw !== true && clean !== undefined && graph.level === "float") await runPipeline(graph, [{ pass: clean, options: {} }]);
      if (o.ir === true) {
        print(printGraph(graph).trimEnd());
        return;
      }
      const cost = modelCost(graph);
      const { meta } = graph;
      if (o.json === true) {
        printJson({
          model: path,
          bytes,
          opsets: meta.opsets ?? {},
          producer: meta.producer ?? null,
          inputs: graph.inputs.map((v) => ({ name: v.name, type: formatType(v.type) })),
          outputs: graph.outputs.map((v) => ({ name: v.name, type: formatType(v.value.type) })),
          ...cost,
        });
        return;
      }
      const opsets = Object.entries(meta.opsets ?? {}).map(([d, v]) => `${d === "" ? "ai.onnx" : d} ${v}`);
      print(
        `${style.bold(path)}: ${formatBytes(bytes)}${opsets.length > 0 ? `, opset ${opsets.join(", ")}` : ""}${meta.producer === undefined || meta.producer === "" ? "" : `, made by ${meta.producer}`}`,
      );
      for (const v of graph.inputs) print(`  in   ${v.name}: ${formatType(v.type)}`);
      for (const v of graph.outputs) print(`  out  ${v.name}: ${formatType(v.value.type)}`);
      const table = new Table({
        head: ["op", "kind", "output", "parameters", "M multiply-adds", "weights", "output bytes"].map(style.bold),
        colAligns: ["left", "left", "left", "right", "right", "right", "right"],
        style: { head: [], border: [], compact: true },
      });
      for (const op of cost.ops)
        table.push([
          op.name,
          op.kind,
          op.output,
          op.parameters === 0 ? "" : op.parameters.toLocaleString("en"),
          op.macs === 0 ? "" : (op.macs / 1e6).toFixed(2),
          op.weightBytes === 0 ? "" : formatBytes(op.weightBytes),
          formatBytes(op.outputBytes),
        ]);
      print(table.toString());
      print(
        `${cost.ops.length} ops, ${cost.parameters.toLocaleString("en")} parameters (${formatBytes(cost.weightBytes)}), ${(cost.macs / 1e6).toFixed(1)} M multiply-adds at batch 1`,
      );
    });
}
