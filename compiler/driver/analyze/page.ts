/** The plots of the page: runs in the browser (`plotPage`). */
export const pageScript = String.raw`
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

show({ errors, sensitivity, bits, coverage });
`;
