/**
 * How the error of INT8 grows with depth: ResNets of 20, 56 and 110 layers, naive per tensor and with our recipes. The page docs/guides/depth.md has its figures.
 *   CEC_DATA=… npm run bench:depth [-- --samples 128 --figure docs/guides/depth.svg]
 * Prints Markdown, draws the figure, and writes JSON lines to out/bench/depth.jsonl.
 */
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type Graph, type PassDefinition, runPipeline } from "../../compiler/core/index.js";
import { analyze } from "../../compiler/driver/analyze/index.js";
import { openRef } from "../../compiler/driver/build/index.js";
import { bindData, calibrationOf, evaluate, nativeExecutor, openPlan } from "../../compiler/driver/index.js";
import { commandLine } from "../../compiler/driver/language.js";
import { recipeSteps, recipes } from "../../compiler/driver/recipes.js";
import { findPass } from "../../passes/index.js";
import { type Curve, drawDepth } from "./depth-figure.js";
import { depths } from "./depth-models.js";

const { values } = parseArgs({
  options: {
    samples: { type: "string", default: "128" },
    calibrate: { type: "string", default: "512" },
    figure: { type: "string", default: "docs/guides/depth.svg" },
  },
});
const samples = Number(values.samples);
const show = (text: string): unknown => process.stdout.write(`${text}\n`);
const executor = nativeExecutor({ threads: availableParallelism() });

const file = await openPlan("models/data.cplan");
const part = (name: string, count: number) => openRef(file, { name, slice: [0, count], span: commandLine });
const [calibrate, test] = [await part("cifar10.train", Number(values.calibrate)), await part("cifar10.test", samples)];

const naive = recipeSteps("minmax", { weights: "per_tensor" });
const kinds: Readonly<Record<string, readonly { readonly name: string; readonly options: Readonly<Record<string, unknown>> }[]>> = {
  naive,
  mse: recipeSteps("mse", {}),
  ...("accurate" in recipes ? { accurate: recipeSteps("accurate" as "mse", {}) } : {}),
};

async function quantized(graph: Graph, steps: (typeof kinds)[string]): Promise<Graph> {
  const g = graph.clone();
  const calls = [{ name: "canonicalize", options: {} }, ...steps].map((s) => ({ pass: findPass(s.name) as PassDefinition, options: s.options }));
  await runPipeline(g, calls, { executor, calibration: calibrationOf(bindData(calibrate, graph)), verify: "off", seed: 0 });
  return g;
}

async function accuracy(source: Graph): Promise<number> {
  const graph = source.clone();
  await runPipeline(graph, [{ pass: findPass("canonicalize") as PassDefinition, options: {} }], { verify: "off" });
  const session = await executor.prepare(graph);
  try {
    const { results } = await evaluate(bindData(test, graph), { float: session }, { output: graph.outputs[0]?.name ?? "" });
    return results["float"]?.values.top1 ?? 0;
  } finally {
    session.dispose();
  }
}

/** Least squares of log error over log depth: the exponent p of error ~ depth^p. */
function exponent(points: Curve["points"]): number {
  const [x, y] = [points.map((p) => Math.log(p.depth)), points.map((p) => Math.log(p.error))];
  const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
  const [mx, my] = [mean(x), mean(y)];
  return x.reduce((n, v, i) => n + (v - mx) * ((y[i] as number) - my), 0) / x.reduce((n, v) => n + (v - mx) ** 2, 0);
}

mkdirSync("out/bench", { recursive: true });
rmSync("out/bench/depth.jsonl", { force: true });
show(`${samples} test images, calibrated on ${values.calibrate} training images\n`);
show("| layers | float top-1 | recipe | error after the first block | after the last | growth | √(depth ratio) | exponent | logits, dB | flips |");
show("|---|---|---|---|---|---|---|---|---|---|");
const curves: Curve[] = [];
for (const { layers, load } of depths) {
  const graph = await load();
  const top1 = await accuracy(graph);
  for (const [kind, steps] of Object.entries(kinds)) {
    const report = await analyze({
      source: { path: `resnet${layers}`, graph: graph.clone() },
      compressed: { path: kind, graph: await quantized(graph, steps) },
      data: bindData(test, graph),
      dataName: null,
      executorFor: async () => executor,
      samples,
      sensitivity: 0,
    });
    // A block's result: two convolutions deeper than the one before.
    const blocks = report.layers.filter((l) => l.kind === "add" && !l.value.endsWith(".aligned"));
    const points = blocks.flatMap((l, i) => (l.accumulated === null ? [] : [{ depth: 3 + 2 * i, error: 10 ** (-l.accumulated.sqnr / 20) }]));
    const [first, last] = [points[0], points.at(-1)];
    if (first === undefined || last === undefined) throw new Error(`no blocks were matched in resnet${layers}, ${kind}`);
    const p = exponent(points);
    curves.push({ layers, kind, points });
    show(
      `| ${layers} | ${top1.toFixed(1)} | ${kind} | ${(100 * first.error).toFixed(2)} % | ${(100 * last.error).toFixed(2)} % | ${(last.error / first.error).toFixed(2)}x | ${Math.sqrt(last.depth / first.depth).toFixed(2)}x | ${p.toFixed(2)} | ${report.output.sqnr.toFixed(1)} | ${report.output.flips} |`,
    );
    appendFileSync("out/bench/depth.jsonl", `${JSON.stringify({ layers, kind, samples, exponent: p, points, output: report.output })}\n`);
  }
}
writeFileSync(values.figure, await drawDepth(curves));
show(`\nwrote ${values.figure}`);
