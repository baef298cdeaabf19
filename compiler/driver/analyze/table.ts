/** The analysis on the terminal. */
import Table from "cli-table3";
import type { Style } from "../build/report.js";
import { damage } from "./advice.js";
import { formatCosine, formatDb, formatRange, formatShare, formatSmall } from "./format.js";
import type { AnalysisReport } from "./index.js";

const ROWS = 16;

const made = (s: Style, head: readonly string[], left: number): InstanceType<typeof Table> =>
  new Table({
    head: head.map(s.bold),
    colAligns: head.map((_, i) => (i < left ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });

/** Long names keep their end, which tells layers apart. */
const short = (name: string): string => (name.length <= 30 ? name : `…${name.slice(-29)}`);

function layerTable(r: AnalysisReport, s: Style, all: boolean): string {
  const table = made(s, ["layer", "kind", "weights", "alone", "accumulated", "cosine", "mse", "alone: output", "all but it"], 2);
  const effects = new Map(r.sensitivity?.layers.map((l) => [l.layer, l]));
  const rows = r.layers.filter((l) => l.quantized || r.quantizers.length === 0);
  const effect = (v: number | undefined): string => (v === undefined ? "" : formatSmall(v));
  const worst = [...rows].sort((a, b) => (a.local?.sqnr ?? Number.POSITIVE_INFINITY) - (b.local?.sqnr ?? Number.POSITIVE_INFINITY));
  const shown = new Set(all ? rows : worst.slice(0, ROWS));
  for (const l of rows) {
    if (!shown.has(l)) continue;
    const e = effects.get(l.name);
    table.push([
      short(l.name),
      l.kind,
      l.weights === null || l.weights.stored === "float" ? "" : formatDb(l.weights.sqnr),
      l.local === null ? "" : formatDb(l.local.sqnr),
      l.accumulated === null ? "" : formatDb(l.accumulated.sqnr),
      l.accumulated === null ? "" : formatCosine(l.accumulated.cosine),
      l.accumulated === null ? "" : formatSmall(l.accumulated.mse),
      e === undefined ? "" : effect(damage(e.alone)),
      e === undefined ? "" : effect(damage(e.allBut)),
    ]);
  }
  return `${table.toString()}${shown.size < rows.length ? `\n${rows.length - shown.size} layers with smaller errors of their own: add --all` : ""}`;
}

function quantizerTable(r: AnalysisReport, s: Style, all: boolean): string {
  const table = made(s, ["activation", "type", "range", "seen", "clipped", "beyond 3σ", "bits on those", "unused bits", "SQNR", "best range"], 2);
  const worst = [...r.quantizers].sort((a, b) => a.sqnr - b.sqnr);
  const shown = new Set(all ? r.quantizers : worst.slice(0, ROWS));
  for (const q of r.quantizers) {
    if (!shown.has(q)) continue;
    table.push([
      short(q.value),
      q.type,
      formatRange(q.range),
      formatRange(q.seen),
      q.clipped === 0 ? "0" : `${q.clipped} (${formatShare(q.clippedShare)})`,
      formatShare(q.outliers),
      q.outlierBits.toFixed(1),
      q.unusedBits.toFixed(1),
      formatDb(q.sqnr),
      `${q.best.range} ${q.best.sqnr - q.expected >= 0.05 ? `+${formatDb(q.best.sqnr - q.expected)}` : "="}`,
    ]);
  }
  return `${table.toString()}${shown.size < r.quantizers.length ? `\n${r.quantizers.length - shown.size} quantizers that lose less: add --all` : ""}`;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`;

function unmatchedLines(r: AnalysisReport, s: Style, all: boolean): string[] {
  const shown = all ? r.unmatched : r.unmatched.slice(0, 6);
  return [
    ...shown.map((u) =>
      s.yellow(`no counterpart for ${u.kind} "${u.op}" of the ${u.side === "source" ? "source" : "compressed model"}: ${u.reason}`),
    ),
    ...(shown.length < r.unmatched.length ? [s.yellow(`and ${r.unmatched.length - shown.length} more: add --all`)] : []),
  ];
}

export function analysisTable(r: AnalysisReport, s: Style, all = false): string {
  const o = r.output;
  const effect = o.kl === null ? "" : `, KL ${formatSmall(o.kl)} nats, ${o.flips} of ${r.samples} predictions flip`;
  const points = r.coverage.curve.map(
    (p) => `${p.samples}: ${(100 * p.median).toFixed(0)}/${(100 * p.lowest).toFixed(0)}/${(100 * p.weights).toFixed(0)}`,
  );
  return [
    `${s.bold(r.compressed)} against ${s.bold(r.source)}, ${count(r.samples, "sample")} of ${r.data}`,
    `output ${o.name}: ${formatDb(o.sqnr)}, cosine ${formatCosine(o.cosine)}, mse ${formatSmall(o.mse)}${effect}`,
    ...unmatchedLines(r, s, all),
    ...(r.equalized.length === 0
      ? []
      : [
          s.dim(
            `${count(r.equalized.length, "layer")} equalized: compared with the source scaled alike (${r.equalized.slice(0, 3).map(short).join(", ")}${r.equalized.length > 3 ? ", …" : ""})`,
          ),
        ]),
    "",
    layerTable(r, s, all),
    s.dim(
      `SQNR per layer: weights; alone (the float model's values through this layer); accumulated (the compressed model's values).${
        r.sensitivity === null
          ? ""
          : ` Output ${r.sensitivity.all.kl === null ? "noise/signal" : "KL"} with only this layer quantized, and with all but it (all: ${formatSmall(damage(r.sensitivity.all))}), on ${count(r.sensitivity.samples, "sample")}.`
      }`,
    ),
    ...(r.quantizers.length === 0 ? [] : ["", quantizerTable(r, s, all)]),
    "",
    `coverage, % of range seen by samples (median/lowest tenth/weights): ${points.join("  ")}`,
    "",
    s.bold("advice"),
    ...r.advice.items.map((i) => `  ${i.target === "*" ? "" : `${i.target}: `}${i.what === "keep" ? "keep in float" : i.setting}: ${i.why}`),
    ...(r.advice.items.length === 0 ? ["  nothing to change"] : []),
    ...(r.advice.plan === "" ? [] : ["", r.advice.plan]),
  ].join("\n");
}
