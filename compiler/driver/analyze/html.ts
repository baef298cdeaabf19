/** The analysis as one self-contained page. */
import { card, plotPage, section, table, text } from "../plot-page.js";
import { damage } from "./advice.js";
import { formatCosine, formatDb, formatRange, formatShare, formatSmall } from "./format.js";
import type { AnalysisReport } from "./index.js";
import { pageScript } from "./page.js";

function cards(r: AnalysisReport): string {
  const { kl, flips } = r.output;
  const quantized = r.layers.filter((l) => l.quantized).length;
  return [
    card(formatDb(r.output.sqnr), `SQNR of ${r.output.name}`),
    ...(kl === null ? [] : [card(formatSmall(kl), "KL divergence, nats")]),
    ...(flips === null ? [] : [card(`${flips} of ${r.samples}`, "predictions flip")]),
    card(`${quantized}`, `quantized layers compared${r.unmatched.length > 0 ? `, ${r.unmatched.length} ops without counterpart` : ""}`),
    card(r.coverage.enough === null ? `> ${r.samples}` : `${r.coverage.enough}`, "samples are enough for calibration"),
  ].join("");
}

function advice(r: AnalysisReport): string {
  const items = r.advice.items.map(
    (i) =>
      `<li>${i.target === "*" ? "" : `<code>${text(i.target)}</code>: `}${i.what === "keep" ? "keep in float" : `<code>${text(i.setting)}</code>`}<br><span class="sub">${text(i.why)}</span></li>`,
  );
  return `<ul>${items.join("") || "<li>Nothing to change.</li>"}</ul>${r.advice.plan === "" ? "" : `<pre>${text(r.advice.plan)}</pre>`}`;
}

function layerRows(r: AnalysisReport): unknown[][] {
  const effects = new Map(r.sensitivity?.layers.map((l) => [l.layer, l]));
  return r.layers.map((l) => {
    const e = effects.get(l.name);
    return [
      l.name,
      l.kind,
      l.weights?.stored ?? "",
      l.weights === null ? "" : formatDb(l.weights.sqnr),
      l.local === null ? "" : formatDb(l.local.sqnr),
      l.accumulated === null ? (l.note ?? "") : formatDb(l.accumulated.sqnr),
      l.accumulated === null ? "" : formatCosine(l.accumulated.cosine),
      l.accumulated === null ? "" : formatSmall(l.accumulated.mse),
      e === undefined ? "" : formatSmall(damage(e.alone)),
      e === undefined ? "" : formatSmall(damage(e.allBut)),
    ];
  });
}

/** What the plots draw; figures only. */
function plotData(r: AnalysisReport): unknown {
  const finite = (v: number | undefined): number | null => (v !== undefined && Number.isFinite(v) ? v : null);
  return {
    layers: r.layers
      .filter((l) => l.quantized || r.quantizers.length === 0)
      .map((l, i) => ({
        i,
        name: l.name,
        kind: l.kind,
        weights: l.weights === null || l.weights.stored === "float" ? null : finite(l.weights.sqnr),
        alone: finite(l.local?.sqnr),
        accumulated: finite(l.accumulated?.sqnr),
      })),
    sensitivity:
      r.sensitivity === null
        ? null
        : {
            unit: r.sensitivity.all.kl === null ? "noise / signal" : "KL divergence, nats",
            all: damage(r.sensitivity.all),
            layers: r.sensitivity.layers.map((l) => ({ name: l.layer, alone: damage(l.alone), allBut: damage(l.allBut) })),
          },
    bits: r.quantizers
      .filter((q) => q.type === "u8" || q.type === "i8")
      .map((q) => ({ name: q.value, unused: q.unusedBits, outliers: q.outlierBits, sqnr: finite(q.sqnr), clipped: q.clippedShare })),
    coverage: r.coverage,
  };
}

export function analysisHtml(r: AnalysisReport): string {
  const quantizers = r.quantizers.map((q) => [
    q.value,
    q.type,
    formatRange(q.range),
    formatRange(q.seen),
    q.clipped,
    formatShare(q.outliers),
    q.outlierBits.toFixed(2),
    q.unusedBits.toFixed(2),
    formatDb(q.sqnr),
    `${q.best.range} ${formatDb(q.best.sqnr)}`,
  ]);
  const body = `<h1>Error analysis</h1>
<p class="sub"><code>${text(r.compressed)}</code> against <code>${text(r.source)}</code> · ${r.samples} samples of ${text(r.data)} · cec ${text(r.cec)}</p>
<div class="cards">${cards(r)}</div>
<h2>Advice</h2>${advice(r)}
${section("errors", "Error layer by layer", "Signal to quantization noise in dB, higher is better: of the stored weights, of the layer alone (the float model’s values through it), and accumulated in the compressed model.")}
${r.sensitivity === null ? "" : section("sensitivity", "What each layer costs the output", `Measured on ${r.sensitivity.samples} samples. Bar: only this layer quantized. Mark: all layers quantized but this one; the line is all of them. A mark far left of the line is a layer worth keeping in float.`)}
${r.quantizers.length === 0 ? "" : section("bits", "Where the 8 bits of activations go", "Bits that the data never reaches, bits spent on values beyond three standard deviations, and what is left for the rest.")}
${section("coverage", "Calibration coverage", "Share of the range of activations that the first n samples span, and of weights that were multiplied with anything but zero.")}
${
  r.unmatched.length === 0
    ? ""
    : `<h2>Without counterpart</h2>${table(
        ["op", "kind", "of", "why"],
        r.unmatched.map((u) => [u.op, u.kind, u.side, u.reason]),
        4,
      )}`
}
<details><summary>All layers (${r.layers.length})</summary>${table(["layer", "kind", "stored", "weights", "alone", "accumulated", "cosine", "mse", "output, alone", "output, all but it"], layerRows(r), 3)}</details>
<details><summary>All quantizers of activations (${quantizers.length})</summary>${table(["activation", "type", "range", "seen", "clipped", "beyond 3σ", "bits on those", "unused bits", "SQNR", "best range"], quantizers, 2)}</details>`;
  return plotPage({ title: `${r.compressed}: cec analysis`, body, data: plotData(r), script: pageScript });
}
