/** What a build tells: `report.json`, and the table on the terminal. */
import { basename } from "node:path";
import Table from "cli-table3";
import type { Decision, Diagnostic, PassReport } from "../../core/index.js";
import type { EngineName } from "../engine/index.js";
import type { Evaluated } from "../evaluate.js";
import type { Latency } from "../latency.js";
import { type Metric, metrics } from "../metrics.js";
import type { Search } from "../search.js";

export interface ReportFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** A figure of the source model and of the result. */
export interface BeforeAfter<T> {
  readonly before: T;
  readonly after: T;
}

export interface ReportEvaluation {
  readonly data: string;
  readonly samples: number;
  readonly metrics: readonly Metric[];
  /** By engine. `after` of ONNX Runtime is the file that was written. */
  readonly engines: { readonly [E in EngineName]?: BeforeAfter<Evaluated> };
  /** Share of predictions that both engines give alike for the result, in percent; `null` where only one ran. */
  readonly engineAgreement: number | null;
}

export interface ReportLatency extends BeforeAfter<Latency> {
  readonly engine: EngineName;
  readonly threads: number;
  readonly batch: number;
}

export interface ReportRequirement {
  readonly text: string;
  readonly measured: number | null;
  readonly unit: string;
  readonly holds: boolean;
  readonly detail: string;
}

export interface BuildReport {
  readonly cec: string;
  readonly plan: { readonly file: string; readonly name: string; readonly seed: number; readonly params: Readonly<Record<string, unknown>> };
  readonly machine: {
    readonly cpu: string;
    readonly isa: string;
    readonly threads: number;
    readonly node: string;
    readonly onnxruntime: string | null;
  };
  readonly source: ReportFile & { readonly parameters: number; readonly macs: number };
  readonly outputs: readonly (ReportFile & { readonly kind: string; readonly opset?: number })[];
  readonly size: BeforeAfter<number> & { readonly ratio: number };
  readonly evaluations: readonly ReportEvaluation[];
  readonly latency: readonly ReportLatency[];
  readonly passes: readonly PassReport[];
  /** Per op: what was done or left alone, and why. */
  readonly decisions: readonly Decision[];
  /** What the recipe `best` tried, and what it found; `null` where no step has it. */
  readonly search: Search | null;
  readonly warnings: readonly Diagnostic[];
  readonly requirements: readonly ReportRequirement[];
  readonly holds: boolean;
  readonly calibrationSamples: number;
  readonly seconds: number;
  readonly peakMiB: number;
}

export interface Style {
  readonly bold: (s: string) => string;
  readonly dim: (s: string) => string;
  readonly green: (s: string) => string;
  readonly red: (s: string) => string;
  readonly yellow: (s: string) => string;
}

export const engineLabel: { readonly [E in EngineName]: string } = { native: "native", ort: "ONNX Runtime" };

export function formatBytes(n: number): string {
  if (n < 1024) return `${n} B`;
  if (n < 1024 ** 2) return `${(n / 1024).toFixed(1)} KiB`;
  if (n < 1024 ** 3) return `${(n / 1024 ** 2).toFixed(2)} MiB`;
  return `${(n / 1024 ** 3).toFixed(2)} GiB`;
}

/** A metric's value with its unit: `91.72 %`. */
export function formatMetric(metric: Metric, value: number | null): string {
  if (value === null) return "-";
  const { unit } = metrics[metric];
  if (unit === "%" || unit === "dB") return `${value.toFixed(2)} ${unit}`;
  if (Number.isInteger(value)) return `${value}${unit === "" ? "" : ` ${unit}`}`;
  return `${Math.abs(value) >= 0.001 ? value.toFixed(value >= 0.99 && value < 1 ? 6 : 4) : value.toExponential(2)}${unit === "" ? "" : ` ${unit}`}`;
}

/** Metrics that compare with the source: its own column says nothing. */
const comparing: ReadonlySet<Metric> = new Set(["agreement", "flips", "cosine", "sqnr", "mse"]);

export interface Row {
  readonly what: string;
  readonly before: string;
  readonly after: string;
  readonly ratio: string;
}

/** The figures of a report as rows of text: the terminal's table and the page share them. */
export function reportRows(r: BuildReport): Row[] {
  const rows: Row[] = [
    { what: "file size", before: formatBytes(r.size.before), after: formatBytes(r.size.after), ratio: `${r.size.ratio.toFixed(3)}x` },
  ];
  for (const e of r.evaluations) {
    // Data is named in the rows only where there are several sets.
    const on = r.evaluations.length > 1 ? ` on ${e.data}` : "";
    for (const m of e.metrics) {
      for (const engine of ["native", "ort"] as const) {
        const pair = e.engines[engine];
        const [a, b] = [pair?.before.values[m] ?? null, pair?.after.values[m] ?? null];
        if (b === null) continue;
        const alone = comparing.has(m);
        rows.push({
          what: `${m}${on}, ${engineLabel[engine]}`,
          before: alone ? "" : formatMetric(m, a),
          after: formatMetric(m, b),
          ratio: alone || a === null || metrics[m].unit !== "%" ? "" : `${b - a >= 0 ? "+" : ""}${(b - a).toFixed(2)}`,
        });
      }
    }
    if (e.engineAgreement !== null)
      rows.push({ what: `same prediction in both engines${on}`, before: "", after: `${e.engineAgreement.toFixed(2)} %`, ratio: "" });
  }
  for (const l of r.latency) {
    rows.push({
      what: `latency, ${engineLabel[l.engine]}, ${count(l.threads, "thread")}, batch ${l.batch}`,
      before: `${l.before.medianMs.toFixed(2)} ms`,
      after: `${l.after.medianMs.toFixed(2)} ms`,
      ratio: `${(l.after.medianMs / l.before.medianMs).toFixed(2)}x`,
    });
  }
  return rows;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

function searched({ trials, best, samples, complete }: Search): string {
  const settings = Object.entries(best.settings).map(([k, v]) => `${k} ${typeof v === "object" ? JSON.stringify(v) : v}`);
  const found = settings.length === 0 ? "those of accurate" : settings.join(", ");
  return `searched ${count(trials.length, "setting")}${complete ? "" : ", not all there are"}, best ${found}: ${best.sqnr.toFixed(2)} dB, ${count(best.flips, "flip")} of ${count(samples, "sample")} held back`;
}

/** What the figures rest on, in one line. */
export function basis(r: BuildReport): string {
  const parts = [
    ...(r.calibrationSamples > 0 ? [`calibrated on ${count(r.calibrationSamples, "sample")}`] : []),
    ...(r.search === null ? [] : [searched(r.search)]),
    ...r.evaluations
      .filter((e) => e.engines.native !== undefined || e.engines.ort !== undefined)
      .map((e) => `evaluated on ${e.data}, ${count(e.samples, "sample")}`),
  ];
  return parts.join("; ");
}

/** The table on the terminal: what, before, after, ratio; then the verdicts and the files. */
export function reportTable(r: BuildReport, s: Style): string {
  const table = new Table({
    head: ["what", "before", "after", "ratio"].map(s.bold),
    colAligns: ["left", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const row of reportRows(r)) table.push([row.what, row.before, row.after, row.ratio]);
  const verdicts = r.requirements.map((q) => `${q.holds ? s.green("holds") : s.red("fails")}  ${q.text}  ${s.dim(`(${q.detail})`)}`);
  const files = r.outputs.map(
    (o) => `${r.holds ? "wrote" : "not written:"} ${o.path}  ${s.dim(`${formatBytes(o.bytes)}, sha256 ${o.sha256.slice(0, 12)}…`)}`,
  );
  const left = r.decisions.filter((d) => d.action === "float");
  const kinds = [...new Set(left.map((d) => d.kind))];
  return [
    `${s.bold(r.plan.name)}: ${basename(r.source.path)}, ${r.source.parameters.toLocaleString("en")} parameters, ${(r.source.macs / 1e6).toFixed(1)} M multiply-adds`,
    table.toString(),
    ...(basis(r) === "" ? [] : [s.dim(basis(r))]),
    ...verdicts,
    ...(left.length === 0
      ? []
      : [
          s.dim(
            `${count(left.length, "op")} stay${left.length === 1 ? "s" : ""} in float (${kinds.slice(0, 5).join(", ")}${kinds.length > 5 ? ", …" : ""}); reasons are in the report's decisions`,
          ),
        ]),
    ...files,
    s.dim(`${r.seconds.toFixed(1)} s, peak ${r.peakMiB} MiB`),
  ].join("\n");
}
