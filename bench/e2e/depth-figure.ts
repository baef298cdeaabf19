/** Draws error over depth as SVG, with the plotting library of the analysis page on a document without a browser. */
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";

export interface Curve {
  readonly layers: number;
  readonly kind: string;
  /** Relative RMS error of the activations behind each residual block. */
  readonly points: readonly { readonly depth: number; readonly error: number }[];
}

export async function drawDepth(curves: readonly Curve[]): Promise<string> {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const kinds = [...new Set(curves.map((c) => c.kind))];
  const rows = curves.flatMap((c) => c.points.map((p) => ({ ...p, error: 100 * p.error, kind: c.kind, network: `ResNet-${c.layers}` })));
  // The reference starts where the naive network's first block ends.
  const roots = curves
    .filter((c) => c.kind === kinds[0])
    .flatMap((c) =>
      c.points.map((p) => ({
        depth: p.depth,
        network: `ResNet-${c.layers}`,
        error: 100 * (c.points[0]?.error ?? 0) * Math.sqrt(p.depth / (c.points[0]?.depth ?? 1)),
      })),
    );
  // Named once, where the curves end furthest apart.
  const widest = `ResNet-${Math.max(...curves.map((c) => c.layers))}`;
  const ends = curves
    .filter((c) => `ResNet-${c.layers}` === widest)
    .map(
      (c) => ({ ...c.points.at(-1), network: `ResNet-${c.layers}`, kind: c.kind }) as { depth: number; error: number; network: string; kind: string },
    );
  const plot = Plot.plot({
    document: document as never,
    width: 960,
    height: 380,
    marginLeft: 55,
    marginTop: 48,
    marginBottom: 42,
    marginRight: 70,
    x: { label: "layers behind the input", type: "log", ticks: [3, 5, 10, 20, 50, 100], tickFormat: "d" },
    fx: { label: null, domain: [...new Set(rows.map((r) => r.network))] },
    y: { label: "error of activations, % of their RMS", type: "log", grid: true, tickFormat: "~g" },
    color: { domain: kinds, range: ["#d1495b", "#3e6bd6", "#2a9d5c", "#e08a00"] },
    marks: [
      Plot.frame({ stroke: "#d8dee4" }),
      Plot.lineY(roots, { fx: "network", x: "depth", y: "error", stroke: "#57606a", strokeDasharray: "4 3" }),
      Plot.lineY(rows, { fx: "network", x: "depth", y: "error", stroke: "kind", strokeWidth: 2 }),
      Plot.text(ends, {
        fx: "network",
        x: "depth",
        y: (d: { error: number }) => 100 * d.error,
        text: "kind",
        fill: "kind",
        textAnchor: "start",
        dx: 5,
      }),
      Plot.text([roots.filter((r) => r.network === widest).at(-1)], {
        fx: "network",
        x: "depth",
        y: "error",
        text: () => "√depth",
        fill: "#57606a",
        textAnchor: "start",
        dx: 5,
      }),
    ],
  });
  const svg = plot as unknown as { setAttribute(name: string, value: string): void; outerHTML: string };
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  // A ground of its own: pages show the figure on light and on dark.
  svg.setAttribute("style", "background:#fff;color:#1b1f24;font:13px system-ui,sans-serif");
  return `${svg.outerHTML}\n`;
}
