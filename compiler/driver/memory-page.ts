/** The timeline of live bytes as one self-contained page. */
import type { MemoryPlan } from "../../runtime-native/ts/index.js";
import { formatBytes } from "./build/report.js";
import { card, plotPage, section, table, text } from "./plot-page.js";

/** A plan and how the page calls it. */
export interface NamedPlan {
  readonly name: string;
  readonly plan: MemoryPlan;
}

/** Bytes that are needed at each step. */
export function liveAt(plan: MemoryPlan): number[] {
  const change = new Float64Array(plan.steps.length + 1);
  for (const b of plan.buffers) {
    change[b.first]! += b.bytes;
    change[b.last + 1]! -= b.bytes;
  }
  let live = 0;
  return plan.steps.map((_, i) => (live += change[i] as number));
}

const LARGEST = 20;

const atPeak = (plan: MemoryPlan): MemoryPlan["buffers"] =>
  plan.buffers.filter((b) => b.first <= plan.liveStep && plan.liveStep <= b.last).sort((a, b) => b.bytes - a.bytes);

/**
 * @param lossStep where there is one: the step that ends the forward part of a training graph
 */
export function memoryHtml(title: string, about: string, plans: readonly NamedPlan[], lossStep: number | null): string {
  const [before, after] = [plans[0] as NamedPlan, plans[1]];
  const cards = [
    ...plans.map((p) => card(formatBytes(p.plan.arenaBytes), `working memory, ${p.name}`)),
    ...(after === undefined
      ? []
      : [
          card(`${(before.plan.arenaBytes / after.plan.arenaBytes).toFixed(2)}×`, "less"),
          card(`${after.plan.steps.length - before.plan.steps.length}${lossStep === null ? "" : ` of ${lossStep + 1}`}`, "forward ops run twice"),
        ]),
  ].join("");
  const tables = plans.map(({ name, plan }) => {
    const rows = atPeak(plan).map((b) => [
      b.scratch ? `scratch of ${b.name}` : b.name,
      plan.steps[b.first],
      plan.steps[b.last],
      formatBytes(b.bytes),
    ]);
    return `<details><summary>All that lives at the peak, ${text(name)}: ${rows.length} buffers at ${text(plan.steps[plan.liveStep])}</summary>${table(["buffer", "from", "to", "bytes"], rows, 3)}</details>`;
  });
  const body = `<h1>Memory over a ${lossStep === null ? "run" : "training step"}</h1>
<p class="sub"><code>${text(title)}</code> · ${text(about)}</p>
<div class="cards">${cards}</div>
${section("timeline", "Live bytes", `What the ops need at each moment, in the order in which they run, as the engine places it.${lossStep === null ? "" : " The dashed line ends the forward part."} Dots are the fullest moments; the horizontal lines are the memory that is set aside.`)}
${section("peak", "What lives at the fullest moment", `The ${LARGEST} largest buffers of each plan there.`)}
${tables.join("\n")}`;
  const data = {
    lossStep,
    plans: plans.map(({ name, plan }) => ({
      name,
      arena: plan.arenaBytes,
      peak: plan.liveStep,
      steps: plan.steps,
      live: liveAt(plan),
      largest: atPeak(plan)
        .slice(0, LARGEST)
        .map((b) => ({ name: b.name, bytes: b.bytes })),
    })),
  };
  return plotPage({ title: `${title}: cec memory`, body, data, script });
}

const script = String.raw`
const unit = Math.max(...data.plans.map((p) => p.arena)) >= 2 ** 31 ? [2 ** 30, "GiB"] : [2 ** 20, "MiB"];
const names = data.plans.map((p) => p.name);
const scale = { legend: true, domain: names, range: [colour("b"), colour("a")].slice(0, names.length) };

function timeline(width) {
  const points = data.plans.flatMap((p) => p.live.map((bytes, step) => ({ plan: p.name, step, size: bytes / unit[0], op: p.steps[step] })));
  return Plot.plot({
    width, height: 380, marginLeft: 60, marginBottom: 40,
    x: { label: "op, in the order in which they run" },
    y: { label: unit[1], grid: true, zero: true, nice: true },
    color: scale,
    marks: [
      Plot.ruleY([0]),
      Plot.ruleY(data.plans, { y: (p) => p.arena / unit[0], stroke: "name", strokeOpacity: 0.5 }),
      Plot.areaY(points, { x: "step", y1: 0, y2: "size", z: "plan", fill: "plan", fillOpacity: 0.25, curve: "step-after" }),
      Plot.lineY(points, { x: "step", y: "size", stroke: "plan", strokeWidth: 1.4, curve: "step-after" }),
      ...(data.lossStep === null ? [] : [Plot.ruleX([data.lossStep + 1], { strokeDasharray: "4 3" })]),
      Plot.dot(data.plans, { x: "peak", y: (p) => p.live[p.peak] / unit[0], fill: "name", r: 4 }),
      Plot.tip(points, Plot.pointer({ x: "step", y: "size", fill: colour("back"), title: (p) => p.plan + "\n" + p.step + " " + p.op + "\n" + p.size.toFixed(2) + " " + unit[1] })),
    ],
  });
}

function peak(width) {
  const rows = data.plans.flatMap((p) => p.largest.map((b, i) => ({ plan: p.name, name: b.name, size: b.bytes / unit[0], key: p.name + " " + i })));
  return Plot.plot({
    width, height: 60 + 17 * rows.length, marginLeft: 310, marginTop: 34, marginRight: 30,
    x: { label: unit[1], grid: true, axis: "top" },
    y: { label: null, domain: rows.map((r) => r.key), tickFormat: (k) => short(rows.find((r) => r.key === k).name) },
    color: scale,
    marks: [Plot.barX(rows, { x: "size", y: "key", fill: "plan", insetTop: 2, insetBottom: 2, title: "name" })],
  });
}
show({ timeline, peak });
`;
