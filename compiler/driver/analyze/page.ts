/** Style and script of the page. The script runs in the browser, after d3 and Plot. */

export const pageStyle = `:root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--line:#d8dee4;--back:#fff;--panel:#f6f8fa;--a:#3e6bd6;--b:#e08a00;--c:#d1495b;--rest:#9fb8ad;--plot-background:var(--panel)}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#30363d;--back:#0d1117;--panel:#161b22;--a:#7aa2ff;--b:#f0b040;--c:#ff7b8a;--rest:#4f6b61}}
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1.25rem;color:var(--ink);background:var(--back)}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin:2.2rem 0 .2rem}.sub{color:var(--dim);margin:.1rem 0 .7rem}code{font-size:.9em}
.cards{display:flex;flex-wrap:wrap;gap:.75rem;margin:1rem 0}.card{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;display:flex;flex-direction:column}
.card b{font-size:1.3rem;font-variant-numeric:tabular-nums}.card span{color:var(--dim)}
pre{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem;overflow-x:auto}li{margin:.35rem 0}
.plot{background:var(--panel);border:1px solid var(--line);border-radius:.5rem;padding:.6rem;overflow-x:auto}.plot svg{font:12px system-ui,sans-serif;background:transparent!important;max-width:none}
.plot figure{margin:0;max-width:none}.plot [class*=swatches]{font-size:13px!important;margin-left:.5rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.87rem;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
.n{text-align:right;white-space:nowrap}details{margin-top:1.6rem}summary{cursor:pointer;font-size:1.1rem;font-weight:600}`;

export const pageScript = String.raw`
const data = JSON.parse(document.getElementById("data").textContent);
const short = (s) => (s.length <= 38 ? s : "…" + s.slice(-37));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

function errors(width) {
  const series = ["weights", "alone", "accumulated"];
  const points = data.layers.flatMap((l) => series.flatMap((s) => (l[s] === null ? [] : [{ ...l, series: s, sqnr: l[s] }])));
  return Plot.plot({
    width, height: 340, marginLeft: 50, marginBottom: 40,
    x: { label: "layer, in the order of the network", tickFormat: (i) => (Number.isInteger(i) ? String(i + 1) : ""), domain: [-0.5, data.layers.length - 0.5] },
    y: { label: "SQNR, dB", grid: true, nice: true, zero: true },
    color: { legend: true, domain: series, range: [colour("b"), colour("a"), colour("c")] },
    marks: [
      Plot.ruleY([0]),
      Plot.lineY(points.filter((p) => p.series !== "weights"), { x: "i", y: "sqnr", stroke: "series", strokeOpacity: 0.55 }),
      Plot.dot(points, { x: "i", y: "sqnr", fill: "series", r: 3 }),
      Plot.tip(points, Plot.pointer({ x: "i", y: "sqnr", fill: colour("back"), title: (p) => p.name + " (" + p.kind + ")\n" + p.series + ": " + p.sqnr.toFixed(1) + " dB" })),
    ],
  });
}

function sensitivity(width) {
  const s = data.sensitivity;
  if (s === null) return null;
  const rows = [...s.layers].sort((a, b) => b.alone - a.alone).slice(0, 30);
  return Plot.plot({
    width, height: 60 + 19 * rows.length, marginLeft: 270, marginTop: 34, marginRight: 30,
    x: { label: s.unit + " at the output", grid: true, axis: "top", tickFormat: "~g", ticks: Math.max(3, Math.floor(width / 160)) },
    y: { label: null, domain: rows.map((r) => r.name), tickFormat: short },
    marks: [
      Plot.barX(rows, { x: "alone", y: "name", fill: colour("a"), insetTop: 2, insetBottom: 2 }),
      Plot.tickX(rows, { x: "allBut", y: "name", stroke: colour("c"), strokeWidth: 3 }),
      Plot.ruleX([s.all], { stroke: colour("c"), strokeDasharray: "4 3" }),
      Plot.tip(rows, Plot.pointerY({ x: "alone", y: "name", fill: colour("back"), title: (r) => r.name + "\nonly it: " + r.alone.toPrecision(3) + "\nall but it: " + r.allBut.toPrecision(3) + "\nall: " + s.all.toPrecision(3) })),
    ],
  });
}

function bits(width) {
  const rows = [...data.bits].sort((a, b) => b.unused + b.outliers - a.unused - a.outliers).slice(0, 30);
  const parts = ["unused", "outliers", "left"];
  const cells = rows.flatMap((r) => [
    { name: r.name, part: "unused", bits: r.unused, r },
    { name: r.name, part: "outliers", bits: r.outliers, r },
    { name: r.name, part: "left", bits: Math.max(0, 8 - r.unused - r.outliers), r },
  ]);
  return Plot.plot({
    width, height: 60 + 19 * rows.length, marginLeft: 270, marginTop: 34, marginRight: 30,
    x: { label: "bits", axis: "top", grid: true, domain: [0, 8] },
    y: { label: null, domain: rows.map((r) => r.name), tickFormat: short },
    color: { legend: true, domain: parts, range: [colour("c"), colour("b"), colour("rest")] },
    marks: [
      Plot.barX(cells, { x: "bits", y: "name", fill: "part", insetTop: 2, insetBottom: 2, order: parts }),
      Plot.tip(rows, Plot.pointerY({ x: 4, y: "name", fill: colour("back"), title: (r) => r.name + "\nunused " + r.unused.toFixed(2) + ", outliers " + r.outliers.toFixed(2) + " bits\nSQNR " + (r.sqnr === null ? "exact" : r.sqnr.toFixed(1) + " dB") + ", clipped " + (100 * r.clipped).toFixed(3) + " %" })),
    ],
  });
}

function coverage(width) {
  const series = { median: "activations, median", lowest: "activations, lowest tenth", weights: "weights" };
  const points = data.coverage.curve.flatMap((p) => Object.entries(series).map(([k, name]) => ({ samples: p.samples, share: 100 * p[k], name })));
  return Plot.plot({
    width, height: 280, marginLeft: 50, marginBottom: 40,
    x: { type: "log", base: 2, label: "samples", ticks: data.coverage.curve.map((p) => p.samples), tickFormat: "d" },
    y: { label: "seen, %", grid: true, domain: [Math.min(50, Math.floor(Math.min(...points.map((p) => p.share)) / 10) * 10), 100] },
    color: { legend: true, domain: Object.values(series), range: [colour("a"), colour("c"), colour("b")] },
    marks: [
      ...(data.coverage.enough === null ? [] : [Plot.ruleX([data.coverage.enough], { strokeDasharray: "4 3" })]),
      Plot.lineY(points, { x: "samples", y: "share", stroke: "name", strokeWidth: 2 }),
      Plot.dot(points, { x: "samples", y: "share", fill: "name", r: 3 }),
      Plot.tip(points, Plot.pointer({ x: "samples", y: "share", fill: colour("back"), title: (p) => p.name + "\n" + p.samples + " samples: " + p.share.toFixed(1) + " %" })),
    ],
  });
}

function draw() {
  for (const [id, plot] of Object.entries({ errors, sensitivity, bits, coverage })) {
    const at = document.querySelector("#" + id + " .plot");
    if (at === null) continue;
    const figure = plot(Math.max(640, at.clientWidth - 20));
    at.replaceChildren(...(figure === null ? [] : [figure]));
  }
}
draw();
let waiting;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
`;
