/**
 * Accuracy of INT8 on the real models: the table of the README.
 *   CEC_DATA=… npm run bench:int8 [-- RANGE]
 * Builds the four plans of models/, and prints Markdown; JSON lines go to out/bench/int8.jsonl.
 */
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { build, choosePlan, cpuInfo, openPlan } from "../../compiler/driver/index.js";

const range = process.argv[2] ?? "mse";
const plans = ["resnet20", "resnet56", "mobilenetv2", "squeezenet"];
const out = "out/bench";
const lines = `${out}/int8.jsonl`;

const show = (text: string): unknown => process.stdout.write(`${text}\n`);
const percent = (v: number | null | undefined): string => (v == null ? "-" : v.toFixed(2));

mkdirSync(out, { recursive: true });
rmSync(lines, { force: true });
show(`${cpus()[0]?.model.trim()}, ${cpuInfo().isa}, range: ${range}\n`);
show("| model | images | float top-1: cec, ORT | INT8 top-1: cec, ORT | flips: cec, ORT | same prediction | size | build s | peak MiB |");
show("|---|---|---|---|---|---|---|---|---|");
for (const name of plans) {
  const file = await openPlan(`models/${name}-int8.cplan`, { range });
  const { report: r } = await build(file, choosePlan(file, undefined), {
    out: `${out}/${name}`,
    threads: availableParallelism(),
    latencyBudgetMs: 300,
  });
  const e = r.evaluations[0];
  const [native, ort] = [e?.engines.native, e?.engines.ort];
  const both = (f: (x: NonNullable<typeof native>) => string): string => [native, ort].map((x) => (x === undefined ? "-" : f(x))).join(", ");
  show(
    `| ${name} | ${e?.samples} | ${both((x) => percent(x.before.values.top1))} | ${both((x) => percent(x.after.values.top1))} | ${both((x) => String(x.after.values.flips))} | ${percent(e?.engineAgreement)} % | ${r.size.ratio.toFixed(3)} | ${r.seconds.toFixed(1)} | ${r.peakMiB} |`,
  );
  appendFileSync(
    lines,
    `${JSON.stringify({ name, range, cpu: r.machine.cpu, isa: r.machine.isa, size: r.size, evaluations: r.evaluations, latency: r.latency, seconds: r.seconds, peakMiB: r.peakMiB })}\n`,
  );
}
