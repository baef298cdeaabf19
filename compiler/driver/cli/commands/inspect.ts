import Table from "cli-table3";
import type { Command } from "commander";
import { findPass } from "../../../../passes/index.js";
import { formatType, printGraph, runPipeline } from "../../../core/index.js";
import { formatBytes } from "../../build/report.js";
import { modelCost } from "../../inspect.js";
import { loadModel } from "../../model.js";
import { jsonOption } from "../options.js";
import { print, printJson, style } from "../output.js";

export function addInspect(program: Command): void {
  program
    .command("inspect")
    .description("ops, parameters, multiply-adds and bytes of a model")
    .argument("<model>", "ONNX file, IR text, or FILE.cplan#MODEL")
    .option("--ir", "print the IR text instead")
    .option("--raw", "as the file has it, without folding shapes and constants first")
    .addOption(jsonOption())
    .action(async (path: string, o: { readonly ir?: true; readonly raw?: true; readonly json?: true }) => {
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
