/** Self-contained pages with plots: Observable Plot and d3 are inlined; no network. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const escapes: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
export const text = (s: unknown): string => String(s).replace(/[&<>"]/g, (c) => escapes[c] as string);

/** Minified builds of d3 and Plot, as the packages ship them. */
function libraries(): string[] {
  const plot = createRequire(import.meta.url).resolve("@observablehq/plot");
  const d3 = createRequire(plot).resolve("d3");
  return [join(dirname(d3), "../dist/d3.min.js"), join(dirname(plot), "../dist/plot.umd.min.js")].map((path) => readFileSync(path, "utf8"));
}

export function table(head: readonly string[], rows: readonly (readonly unknown[])[], left: number): string {
  const cell = (tag: string, v: unknown, i: number): string => `<${tag}${i >= left ? ' class="n"' : ""}>${text(v)}</${tag}>`;
  return `<div class="scroll"><table><thead><tr>${head.map((h, i) => cell("th", h, i)).join("")}</tr></thead><tbody>${rows
    .map((r) => `<tr>${r.map((v, i) => cell("td", v, i)).join("")}</tr>`)
    .join("\n")}</tbody></table></div>`;
}

export const card = (value: string, what: string): string => `<div class="card"><b>${text(value)}</b><span>${text(what)}</span></div>`;

/** A place for the plot of that name. */
export const section = (id: string, title: string, what: string): string =>
  `<section id="${id}"><h2>${title}</h2><p class="sub">${what}</p><div class="plot"></div></section>`;

const style = `:root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--line:#d8dee4;--back:#fff;--panel:#f6f8fa;--a:#3e6bd6;--b:#e08a00;--c:#d1495b;--rest:#9fb8ad;--plot-background:var(--panel)}
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

/** Before the page's own script: its data, and how plots are drawn, again when the window or its colours change. */
const prelude = `
const data = JSON.parse(document.getElementById("data").textContent);
const short = (s) => (s.length <= 38 ? s : "…" + s.slice(-37));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
function show(plots) {
  const draw = () => {
    for (const [id, plot] of Object.entries(plots)) {
      const at = document.querySelector("#" + id + " .plot");
      if (at === null) continue;
      const figure = plot(Math.max(640, at.clientWidth - 20));
      at.replaceChildren(...(figure === null ? [] : [figure]));
    }
  };
  draw();
  let waiting;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
}
`;

export interface PlotPage {
  readonly title: string;
  readonly body: string;
  /** What the script finds in `data`. */
  readonly data: unknown;
  /** Runs in the browser after d3 and Plot; ends with `show({ id: (width) => figure })`, one for each `section`. */
  readonly script: string;
}

export const plotPage = ({ title, body, data, script }: PlotPage): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(title)}</title><style>${style}</style></head><body>
${body}
<script type="application/json" id="data">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>
${libraries()
  .map((code) => `<script>${code.replaceAll("</script", "<\\/script")}</script>`)
  .join("\n")}
<script>${prelude}${script}</script>
</body></html>
`;
