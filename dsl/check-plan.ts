/** Plans: statements held against the declarations, requirements against what the plan evaluates, bases merged in. */
import { isAbsolute, resolve } from "node:path";
import { type Diagnostic, diagnostic, nearest, type Span, suggest } from "../compiler/core/diagnostics/index.js";
import type { DataReference, Expr, Ident, Item, PlanStatement } from "./ast.js";
import type { CheckedData, CheckedPlan, Comparison, DataRef, Literal, PlanEmit, PlanSource, PlanStep, Requirement } from "./checked.js";
import type { Callable, Declarations, MetricDeclaration } from "./declarations.js";
import { evaluate, evaluateOption, fault, finite, literalOf, type Scope, stringText } from "./evaluate.js";
import { attempt, hint, namingOptions, type Report, readOptions } from "./options.js";

export type PlanItem = Extract<Item, { kind: "plan" }>;

export interface PlanContext {
  readonly declarations: Declarations;
  readonly scope: Scope;
  readonly data: ReadonlyMap<string, CheckedData>;
  /** Names of data sets whose declaration is at fault: no second message about them. */
  readonly brokenData: ReadonlySet<string>;
  /** Parameters of each model. */
  readonly models: ReadonlyMap<string, readonly { readonly name: string; readonly required: boolean }[]>;
  /** Passes that `use` brought, with the file they came from. */
  readonly plugins: ReadonlyMap<string, { readonly pass: Callable; readonly file: string }>;
  readonly baseDir: string;
  readonly text: string;
  /** The file has syntax faults: what seems to be missing may stand in the part that was not read. */
  readonly partial: boolean;
  readonly report: Report;
}

const statementWords = ["source", "calibrate", "evaluate", "require", "emit", "seed"];

/** With those of the plans that it extends. */
const MAX_STATEMENTS = 1_000;

/** A plan without its base: what it says itself. */
interface Own {
  seed: number | undefined;
  source: PlanSource | undefined;
  calibrate: DataRef | undefined;
  readonly evaluate: CheckedPlan["evaluate"][number][];
  readonly steps: PlanStep[];
  readonly requires: Requirement[];
  readonly emits: PlanEmit[];
}

/** Checks one plan; `base` is the checked plan that it extends. `null` when it has faults. */
export function checkPlan(plan: PlanItem, base: CheckedPlan | null, c: PlanContext): CheckedPlan | null {
  let ok = true;
  const report: Report = (d) => {
    if (d.severity === "error") ok = false;
    c.report(d);
  };
  const own: Own = { seed: undefined, source: undefined, calibrate: undefined, evaluate: [], steps: [], requires: [], emits: [] };
  if (plan.body.length + (base === null ? 0 : base.steps.length + base.requires.length + base.emits.length + base.evaluate.length) > MAX_STATEMENTS) {
    report(diagnostic("CEC2015", { message: `plan ${plan.name.name} has more than ${MAX_STATEMENTS} statements`, span: plan.name.span }));
    return null;
  }
  for (const s of plan.body) attempt(report, () => statement(s, own, base, c, report));
  const source = own.source ?? base?.source;
  // Metrics as they stand in the text: a fault in the data beside them is reported by itself.
  const evaluated = new Set([
    ...(base?.evaluate ?? []).flatMap((e) => e.metrics),
    ...plan.body.flatMap((s) => (s.kind === "evaluate" ? s.metrics.map((m) => m.name) : [])),
  ]);
  for (const r of c.partial ? [] : own.requires) {
    if ((r.kind === "drop" || r.kind === "metric") && !evaluated.has(r.metric))
      report(
        diagnostic("CEC2014", {
          message: `plan ${plan.name.name} requires ${r.metric}, and evaluates it nowhere`,
          help: `add \`evaluate ${r.metric} on DATA\``,
          span: r.span,
        }),
      );
  }
  if (source === undefined && !c.partial && !plan.body.some((s) => s.kind === "source"))
    report(
      diagnostic("CEC2014", {
        message: `plan ${plan.name.name} has no source`,
        help: 'add `source onnx "FILE.onnx"` or `source model NAME`',
        span: plan.name.span,
      }),
    );
  if (!ok || source === undefined) return null;
  return {
    name: plan.name.name,
    span: plan.name.span,
    baseDir: c.baseDir,
    seed: own.seed ?? base?.seed ?? 0,
    source,
    calibrate: own.calibrate ?? base?.calibrate ?? null,
    evaluate: [...(base?.evaluate ?? []), ...own.evaluate],
    steps: [...(base?.steps ?? []), ...own.steps],
    requires: [...(base?.requires ?? []), ...own.requires],
    emits: [...(base?.emits ?? []), ...own.emits],
  };
}

const again = (what: string, span: Span): Diagnostic => diagnostic("CEC2007", { message: `\`${what}\` is there twice`, help: "leave one out", span });

function statement(s: PlanStatement, own: Own, base: CheckedPlan | null, c: PlanContext, report: Report): void {
  switch (s.kind) {
    case "seed": {
      if (own.seed !== undefined) report(again("seed", s.span));
      const v = evaluate(s.value, c.scope);
      if (typeof v !== "number" || !Number.isSafeInteger(v) || v < 0)
        return fault("CEC2006", s.value.span, { message: "a seed is a whole number from 0 up" });
      own.seed = v;
      return;
    }
    case "source":
      if (own.source !== undefined) report(again("source", s.span));
      own.source = sourceOf(s, c);
      return;
    case "calibrate":
      if (own.calibrate !== undefined) report(again("calibrate", s.span));
      own.calibrate = dataRef(s.data, c) ?? undefined;
      return;
    case "evaluate": {
      const metrics = s.metrics.flatMap((m) => (metricOf(m, c) === undefined ? [] : [m.name]));
      const data = dataRef(s.data, c);
      if (data !== null && metrics.length > 0) own.evaluate.push({ metrics, data, span: s.span });
      return;
    }
    case "require":
      own.requires.push(requirement(s.requirement, c));
      return;
    case "emit":
      return emitStatement(s, own, base?.emits ?? [], c, report);
    case "pass":
      return passStatement(s, own, c, report);
  }
}

function sourceOf(s: Extract<PlanStatement, { kind: "source" }>, c: PlanContext): PlanSource {
  if (s.what === "model") {
    const { name, span } = s.call.callee;
    const params = c.models.get(name);
    if (params === undefined)
      return fault("CEC2012", span, {
        message: `there is no model \`${name}\``,
        help: hint(name, c.models.keys(), "declare it, or import the file that does"),
      });
    const args: Record<string, Literal> = {};
    let position = 0;
    const names = params.map((p) => p.name);
    for (const a of s.call.args) {
      const key = a.key?.name ?? names[position++];
      if (key === undefined || !names.includes(key))
        fault("CEC2011", a.span, {
          message: `model ${name} has no ${key === undefined ? "further parameter" : `parameter \`${key}\``}`,
          help: names.length === 0 ? "it has none" : key === undefined ? `it has ${names.join(", ")}` : suggest(key, names),
        });
      if (Object.hasOwn(args, key)) fault("CEC2011", a.span, { message: `\`${key}\` is given twice`, help: "leave one out" });
      args[key] = literalOf(evaluate(a.value, c.scope));
    }
    const missing = params.find((p) => p.required && !Object.hasOwn(args, p.name));
    if (missing !== undefined)
      fault("CEC2011", s.call.span, { message: `model ${name} needs \`${missing.name}\``, help: `add \`${missing.name}: …\`` });
    return { kind: "model", model: name, args, span: s.span };
  }
  if (!c.declarations.sources.includes(s.format.name))
    return fault("CEC2012", s.format.span, {
      message: `there is no source kind \`${s.format.name}\``,
      help: suggest(s.format.name, [...c.declarations.sources, "model"]),
    });
  const path = text(s.path, c.scope);
  return { kind: "file", format: s.format.name, path: isAbsolute(path) ? path : resolve(c.baseDir, path), span: s.span };
}

const text = (e: Expr, scope: Scope): string => (e.kind === "string" ? stringText(e.raw, e.span, scope) : "");

function dataRef(d: DataReference, c: PlanContext): DataRef | null {
  const { name, span } = d.name;
  if (!c.data.has(name)) {
    if (c.brokenData.has(name)) return null;
    const splits = [...c.data.keys()].filter((n) => n.startsWith(`${name}.`));
    fault("CEC2012", span, {
      message: splits.length > 0 ? `data set \`${name}\` has parts: name one` : `there is no data set \`${name}\``,
      help: splits.length > 0 ? splits.join(", ") : hint(name, c.data.keys(), "declare it with `data`, or import the file that does"),
    });
  }
  if (!d.sliced) return { name, slice: null, span: d.span };
  const bound = (e: Expr | null, otherwise: number): number => {
    if (e === null) return otherwise;
    const v = evaluate(e, c.scope);
    return typeof v === "number" && Number.isInteger(v) && v >= 0
      ? v
      : fault("CEC2006", e.span, { message: "a bound of a slice is a whole number from 0 up" });
  };
  const [from, to] = [bound(d.from, 0), bound(d.to, Number.POSITIVE_INFINITY)];
  if (to <= from)
    fault("CEC2006", d.span, {
      message: `the slice [${from}:${to}] is empty`,
      help: "the second bound is not in the slice: [0:512] has 512 samples",
    });
  return { name, slice: [from, to], span: d.span };
}

/** A data set as options of passes name it: `cifar10.train[0:512]`. `null` where the text is no such name. */
export function parseDataReference(text: string): { readonly name: string; readonly slice: readonly [number, number] | null } | null {
  const m = /^\s*([A-Za-z_][\w.]*)\s*(?:\[\s*(\d*)\s*:\s*(\d*)\s*\])?\s*$/.exec(text);
  if (m === null) return null;
  const [, name = "", from, to] = m;
  return { name, slice: from === undefined ? null : [Number(from || 0), to === undefined || to === "" ? Number.POSITIVE_INFINITY : Number(to)] };
}

function namedData(text: string, span: Span, c: PlanContext): void {
  const name = parseDataReference(text)?.name ?? text;
  if (c.data.has(name) || c.brokenData.has(name)) return;
  fault("CEC2012", span, {
    message: `there is no data set \`${text}\``,
    help: hint(name, c.data.keys(), "declare it with `data`, or import the file that does"),
  });
}

function metricOf(m: Ident, c: PlanContext): MetricDeclaration | undefined {
  const { metrics } = c.declarations;
  if (Object.hasOwn(metrics, m.name)) return metrics[m.name];
  return fault("CEC2012", m.span, {
    message: `there is no metric \`${m.name}\``,
    help: suggest(m.name, Object.keys(metrics)),
  });
}

const bytes: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
const milliseconds: Readonly<Record<string, number>> = { us: 1e-3, ms: 1, s: 1e3 };

const forms =
  "`require top1 drop <= 1.0%`, `require size <= 0.30x`, `require latency(native, threads: 1) <= 0.5x`, `require opset <= 17`, `require ops in tensorrt`";

function requirement(r: Extract<PlanStatement, { kind: "require" }>["requirement"], c: PlanContext): Requirement {
  const written = c.text
    .slice(r.span.start.offset, r.span.end.offset)
    .replace(/^require\s+/, "")
    .replace(/\s+/g, " ");
  const base = { span: r.span, text: written };
  const malformed = (span: Span, message: string, help = `requirements are ${forms}`): never => fault("CEC2019", span, { message, help });
  if (r.kind === "ops") {
    if (r.op?.name !== "ops") malformed(r.op?.span ?? r.span, `\`${r.op?.name}\` is not held against a target`, "write `require ops in TARGET`");
    const { targets } = c.declarations;
    if (!targets.includes(r.target.name))
      return fault("CEC2012", r.target.span, {
        message: `there is no target \`${r.target.name}\``,
        help: suggest(r.target.name, targets),
      });
    return { ...base, kind: "ops", target: r.target.name };
  }
  const op = r.op?.name as Comparison | "!=";
  if (op === "!=") return malformed(r.op?.span ?? r.span, "`!=` is no bound");
  const e = r.value as Expr;
  const [value, unit] = quantity(e, c.scope);
  const { name } = r.name;
  if (r.args !== null && name !== "latency") malformed(r.name.span, `${name} takes no arguments`);
  if (r.drop) {
    const metric = metricOf(r.name, c) as MetricDeclaration;
    if (unit !== "" && unit !== metric.unit)
      malformed(e.span, `a drop of ${name} has no unit \`${unit}\``, metric.unit === "" ? "leave the unit out" : `its unit is ${metric.unit}`);
    return { ...base, kind: "drop", metric: name, op, limit: value };
  }
  switch (name) {
    case "size":
      if (unit !== "" && unit !== "x" && bytes[unit] === undefined)
        malformed(e.span, `size has no unit \`${unit}\``, "write 0.30x for a share of the source, or 4MiB");
      return { ...base, kind: "size", op, value: value * (bytes[unit] ?? 1), unit: unit === "" || unit === "x" ? "x" : "bytes" };
    case "opset":
      if (unit !== "") malformed(e.span, "an opset has no unit");
      return { ...base, kind: "opset", op, value };
    case "latency": {
      if (unit !== "" && unit !== "x" && milliseconds[unit] === undefined)
        malformed(e.span, `latency has no unit \`${unit}\``, "write 0.5x for a share of the source, or 2ms");
      const settings = { engine: "native", threads: 1, batch: 1 };
      for (const a of r.args ?? []) {
        const key = a.key?.name ?? "engine";
        const v = evaluateOption(a.value, c.scope);
        if (key === "engine" && typeof v === "string" && c.declarations.engines.includes(v)) settings.engine = v;
        else if ((key === "threads" || key === "batch") && typeof v === "number" && Number.isInteger(v) && v >= 1) settings[key] = v;
        else malformed(a.span, "latency takes an engine, `threads: n` and `batch: n`", `engines are ${c.declarations.engines.join(", ")}`);
      }
      return { ...base, kind: "latency", ...settings, op, value: value * (milliseconds[unit] ?? 1), unit: unit === "" || unit === "x" ? "x" : "ms" };
    }
    case "ops":
      return malformed(r.name.span, "`ops` is held against a target", "write `require ops in TARGET`");
    default: {
      if (!Object.hasOwn(c.declarations.metrics, name))
        return fault("CEC2019", r.name.span, {
          message: `\`${name}\` cannot be required`,
          help: suggest(name, [...Object.keys(c.declarations.metrics), "size", "latency", "opset", "ops"]),
        });
      const metric = c.declarations.metrics[name] as MetricDeclaration;
      if (unit !== "" && unit !== metric.unit)
        malformed(e.span, `${name} has no unit \`${unit}\``, metric.unit === "" ? "leave the unit out" : `its unit is ${metric.unit}`);
      return { ...base, kind: "metric", metric: name, op, value };
    }
  }
}

/** A number with its unit; a param's number has none. */
function quantity(e: Expr, scope: Scope): readonly [number, string] {
  if (e.kind === "quantity") return [finite(e.value, e.span), e.unit];
  const v = evaluate(e, scope);
  return typeof v === "number" ? [v, ""] : fault("CEC2019", e.span, { message: "a bound is a number", help: `requirements are ${forms}` });
}

function emitStatement(s: Extract<PlanStatement, { kind: "emit" }>, own: Own, inherited: readonly PlanEmit[], c: PlanContext, report: Report): void {
  const declared = c.declarations.emits.get(s.what.name);
  if (declared === undefined) {
    const names = [...c.declarations.emits.keys()];
    return fault("CEC2012", s.what.span, {
      message: `there is no output \`${s.what.name}\``,
      help: suggest(s.what.name, names),
    });
  }
  const read = readOptions({
    what: `output ${s.what.name}`,
    schema: declared.options,
    positional: declared.positional ?? [],
    args: s.args,
    span: s.span,
    scope: c.scope,
    report,
  });
  if (read.parsed === null) return;
  const { path, ...options } = read.given;
  const same = [...inherited, ...own.emits].find((e) => e.path === path);
  if (same !== undefined) return report(diagnostic("CEC2007", { message: `two outputs are written to ${String(path)}`, span: s.span }));
  own.emits.push({ kind: s.what.name, path: String(path), options, span: s.span });
}

function passStatement(s: Extract<PlanStatement, { kind: "pass" }>, own: Own, c: PlanContext, report: Report): void {
  const { callee, args } = s.call;
  const plugin = c.plugins.get(callee.name);
  const pass = plugin?.pass ?? c.declarations.passes.get(callee.name);
  if (pass === undefined) {
    const near = nearest(callee.name, [...c.declarations.passes.keys(), ...c.plugins.keys(), ...statementWords]);
    return report(
      diagnostic("CEC2004", {
        message: `there is no pass or statement \`${callee.name}\``,
        help: near !== undefined ? `did you mean \`${near}\`?` : `passes are ${[...c.declarations.passes.keys(), ...c.plugins.keys()].join(", ")}`,
        span: callee.span,
      }),
    );
  }
  const read = readOptions({
    what: `pass ${callee.name}`,
    schema: pass.options,
    positional: pass.positional ?? [],
    args,
    span: s.span,
    scope: c.scope,
    report,
  });
  if (read.parsed === null) return;
  const data = namingOptions(pass.options, "data").flatMap((key) => {
    const reference = read.given[key];
    if (typeof reference !== "string") return [];
    namedData(reference, read.spans.get(key) ?? s.span, c);
    return [reference];
  });
  const options: Record<string, unknown> = { ...read.given };
  const models = namingOptions(pass.options, "model").flatMap((key) => {
    const path = read.given[key];
    if (typeof path !== "string") return [];
    options[key] = isAbsolute(path) ? path : resolve(c.baseDir, path);
    return [{ path: options[key] as string, span: read.spans.get(key) ?? s.span }];
  });
  own.steps.push({ name: callee.name, options, data, models, span: s.span, ...(plugin === undefined ? {} : { plugin: plugin.file }) });
}
