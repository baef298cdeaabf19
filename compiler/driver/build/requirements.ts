/** Holds a result against the `require` lines of its plan. */
import type { Comparison, Requirement } from "../../../dsl/index.js";
import { type Diagnostic, diagnostic, fail, type Graph } from "../../core/index.js";
import type { EngineName } from "../engine/index.js";
import { type Metric, metrics } from "../metrics.js";
import { misfits, type TargetName } from "../targets.js";
import { engineLabel, formatBytes, formatMetric, type ReportEvaluation, type ReportLatency, type ReportRequirement } from "./report.js";

export interface Measured {
  readonly graph: Graph;
  readonly size: { readonly before: number; readonly after: number };
  readonly evaluations: readonly ReportEvaluation[];
  readonly latency: readonly ReportLatency[];
  /** Opset of the ONNX output; `null` where there is none. */
  readonly opset: number | null;
}

const compare: { readonly [C in Comparison]: (a: number, b: number) => boolean } = {
  "<=": (a, b) => a <= b,
  ">=": (a, b) => a >= b,
  "<": (a, b) => a < b,
  ">": (a, b) => a > b,
  "==": (a, b) => a === b,
};

const missing = (r: Requirement, why: string, help: string): never =>
  fail("CEC7003", { message: `\`require ${r.text}\` cannot be measured`, why, help, span: r.span });

/** The worst value over engines and data sets: a requirement holds everywhere or not at all. */
function worst(r: Requirement & { readonly metric: string }, measured: Measured, drop: boolean): { value: number; where: string } {
  const metric = r.metric as Metric;
  const { higherIsBetter } = metrics[metric];
  const found = measured.evaluations.flatMap((e) =>
    (Object.entries(e.engines) as [EngineName, ReportEvaluation["engines"][EngineName]][]).flatMap(([engine, pair]) => {
      const after = pair?.after.values[metric];
      const before = pair?.before.values[metric];
      if (after == null || (drop && before == null)) return [];
      return [
        {
          value: drop ? (higherIsBetter ? (before as number) - after : after - (before as number)) : after,
          where: `${e.data}, ${engineLabel[engine]}`,
        },
      ];
    }),
  );
  if (found.length === 0) return missing(r, `${metric} was not evaluated`, `add \`evaluate ${metric} on DATA\` to the plan`);
  const higherIsWorse = drop || !higherIsBetter;
  return found.reduce((a, b) => (b.value > a.value === higherIsWorse && b.value !== a.value ? b : a));
}

function judge(r: Requirement, m: Measured): ReportRequirement {
  switch (r.kind) {
    case "drop": {
      const { value, where } = worst(r, m, true);
      const { unit } = metrics[r.metric as Metric];
      return {
        text: r.text,
        measured: value,
        unit,
        holds: compare[r.op](value, r.limit),
        detail: `${value.toFixed(2)}${unit === "%" ? " points" : ` ${unit}`}; ${where}`,
      };
    }
    case "metric": {
      const { value, where } = worst(r, m, false);
      return {
        text: r.text,
        measured: value,
        unit: metrics[r.metric as Metric].unit,
        holds: compare[r.op](value, r.value),
        detail: `${formatMetric(r.metric as Metric, value)}; ${where}`,
      };
    }
    case "size": {
      const ratio = m.size.after / m.size.before;
      const measured = r.unit === "x" ? ratio : m.size.after;
      return {
        text: r.text,
        measured,
        unit: r.unit,
        holds: compare[r.op](measured, r.value),
        detail: `${ratio.toFixed(3)}x: ${formatBytes(m.size.before)} to ${formatBytes(m.size.after)}`,
      };
    }
    case "latency": {
      const l = m.latency.find((e) => e.engine === r.engine && e.threads === r.threads && e.batch === r.batch);
      if (l === undefined) return missing(r, `latency in ${r.engine} was not measured`, "check with `cec doctor` that the engine is there");
      const ratio = l.after.medianMs / l.before.medianMs;
      const measured = r.unit === "x" ? ratio : l.after.medianMs;
      return {
        text: r.text,
        measured,
        unit: r.unit,
        holds: compare[r.op](measured, r.value),
        detail: `${ratio.toFixed(2)}x: ${l.before.medianMs.toFixed(2)} ms to ${l.after.medianMs.toFixed(2)} ms`,
      };
    }
    case "opset":
      if (m.opset === null) return missing(r, "the plan emits no ONNX file", 'add `emit onnx "…"`');
      return { text: r.text, measured: m.opset, unit: "", holds: compare[r.op](m.opset, r.value), detail: `opset ${m.opset}` };
    case "ops": {
      const bad = misfits(m.graph, r.target as TargetName);
      const first = bad[0];
      return {
        text: r.text,
        measured: bad.length,
        unit: "",
        holds: bad.length === 0,
        detail:
          first === undefined
            ? "every op"
            : `${bad.length} op${bad.length === 1 ? "" : "s"} not, the first ${first.op} (${first.kind}): ${first.reason}`,
      };
    }
  }
}

export const judgeAll = (requires: readonly Requirement[], measured: Measured): ReportRequirement[] => requires.map((r) => judge(r, measured));

/** The lines that do not hold, as diagnostics. */
export const broken = (requires: readonly Requirement[], judged: readonly ReportRequirement[]): Diagnostic[] =>
  judged.flatMap((j, i) =>
    j.holds
      ? []
      : [
          diagnostic("CEC7001", {
            message: `\`require ${j.text}\` does not hold`,
            why: `measured: ${j.detail}`,
            help: "no output was put into place; report.json has all figures",
            ...(requires[i]?.span === undefined ? {} : { span: (requires[i] as Requirement).span }),
          }),
        ],
  );
