import Table from "cli-table3";
import { type Command, Option } from "commander";
import { findPass } from "../../../../passes/index.js";
import type { MemoryPlan } from "../../../../runtime-native/ts/index.js";
import { formatType, printGraph, runPipeline } from "../../../core/index.js";
import { formatBytes } from "../../build/report.js";
import { modelCost } from "../../inspect.js";
import { memoryOf } from "../../memory.js";
import { loadModel } from "../../model.js";
import { jsonOption, keyValue } from "../options.js";
import { print, printJson, style } from "../output.js";

interface InspectFlags {
  readonly memory?: true;
  readonly shape: Readonly<Record<string, string>>;
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
    .option("--all", "with --memory: every buffer, not only the largest")
    .option("--ir", "print the IR text instead")
    .option("--raw", "as the file has it, without folding shapes and constants first")
    .addOption(jsonOption())
    .action(async (path: string, o: InspectFlags) => {
      if (o.memory === true) return void printMemory(path, await memoryOf(path, o.shape), o);
      const { graph, bytes } = await loadModel(path);
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
