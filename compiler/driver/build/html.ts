/** The report as one self-contained page: no script, no network. */
import { basename } from "node:path";
import { type BuildReport, basis, formatBytes, reportRows } from "./report.js";

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const text = (s: unknown): string => String(s).replace(/[&<>"]/g, (c) => escapes[c] as string);

function table(head: readonly string[], rows: readonly (readonly unknown[])[], numeric: readonly number[] = []): string {
  const cell = (tag: string, v: unknown, i: number): string => `<${tag}${numeric.includes(i) ? ' class="n"' : ""}>${text(v)}</${tag}>`;
  return `<table><thead><tr>${head.map((h, i) => cell("th", h, i)).join("")}</tr></thead><tbody>${rows
    .map((r) => `<tr>${r.map((v, i) => cell("td", v, i)).join("")}</tr>`)
    .join("\n")}</tbody></table>`;
}

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem}p.sub{color:#57606a;margin-top:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dee4;vertical-align:top}
th{border-bottom:2px solid #8c959f}.n{text-align:right;white-space:nowrap}.ok{color:#1a7f37}.bad{color:#cf222e}code{font-size:.9em}details{margin-top:2rem}summary{cursor:pointer;font-size:1.15rem;font-weight:600}`;

export function reportHtml(r: BuildReport): string {
  const passes = r.passes.map((p) => [
    p.name,
    `${p.ms.toFixed(1)} ms`,
    p.patches,
    Object.entries(p.statistics)
      .filter(([, n]) => n !== 0)
      .map(([k, n]) => `${k} ${n}`)
      .join(", "),
  ]);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(r.plan.name)}: cec report</title><style>${STYLE}</style></head><body>
<h1>${text(r.plan.name)} <span class="${r.holds ? "ok" : "bad"}">${r.holds ? "holds" : "does not hold"}</span></h1>
<p class="sub">${text(basename(r.source.path))} · ${r.source.parameters.toLocaleString("en")} parameters · ${(r.source.macs / 1e6).toFixed(1)} M multiply-adds · ${text(r.machine.cpu)}, ${text(r.machine.isa)} · cec ${text(r.cec)}</p>
${table(
  ["what", "before", "after", "ratio"],
  reportRows(r).map((row) => [row.what, row.before, row.after, row.ratio]),
  [1, 2, 3],
)}
<p class="sub">${text(basis(r))}</p>
${
  r.requirements.length === 0
    ? ""
    : `<h2>Requirements</h2>${table(
        ["requirement", "measured", "verdict"],
        r.requirements.map((q) => [q.text, q.detail, q.holds ? "holds" : "does not hold"]),
      )}`
}
${
  r.warnings.length === 0
    ? ""
    : `<h2>Warnings</h2>${table(
        ["code", "what"],
        r.warnings.map((w) => [w.code, w.message]),
      )}`
}
<h2>Files</h2>${table(
    ["file", "bytes", "sha256"],
    r.outputs.map((o) => [o.path, formatBytes(o.bytes), o.sha256]),
    [1],
  )}
<h2>Passes</h2>${table(["pass", "time", "patches", "statistics"], passes, [1, 2])}
<details><summary>Decisions (${r.decisions.length})</summary>${table(
    ["op", "kind", "pass", "action", "reason"],
    r.decisions.map((d) => [d.op, d.kind, d.pass, d.action, d.reason]),
  )}</details>
</body></html>
`;
}
