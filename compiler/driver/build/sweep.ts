/**
 * A plan built with several values of its params, each in a folder of its own. `sweep.json` is written after each build, so that a sweep that was stopped goes on
 * with the builds that are missing; one that was stopped in training goes on from its checkpoint.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import Table from "cli-table3";
import { z } from "zod";
import type { CheckedFile, CheckedPlan } from "../../../dsl/index.js";
import { CecError, fail } from "../../core/index.js";
import { contentKey } from "../data/index.js";
import { writeFileAtomic } from "../files.js";
import { openPlan, throwErrors } from "../language.js";
import type { Metric } from "../metrics.js";
import { openSource } from "../train/loader.js";
import { version } from "../version.js";
import { type BuildOptions, type BuildResult, build, choosePlan, dataSource, openRef } from "./index.js";
import { type BuildReport, formatMetric, type Style } from "./report.js";

/** More builds are taken for a mistake. */
const MAX_RUNS = 1000;

const rowSchema = z.object({
  params: z.record(z.string(), z.string()),
  /** In the output folder. */
  folder: z.string(),
  /** Hash of all that the build depends on. */
  key: z.string(),
  outcome: z.enum(["holds", "broken", "failed"]),
  /** Why it failed. */
  message: z.string().optional(),
  /** Of the result, by `METRIC on DATA`: in our engine, in ONNX Runtime where only that ran. */
  metrics: z.array(z.object({ metric: z.string(), data: z.string(), before: z.number().nullable(), after: z.number().nullable() })),
  /** What it wrote, from the output folder. */
  files: z.array(z.string()),
  /** Bytes of the result as a share of the source's; `null` where the build failed. */
  size: z.number().nullable(),
  seconds: z.number(),
});
/** One build of a sweep. */
export type SweepRow = z.infer<typeof rowSchema>;

export interface SweepOptions extends BuildOptions {
  /** Name of the plan; needed where the file has several. */
  readonly plan?: string;
  readonly set: Readonly<Record<string, string>>;
  /** Values of each param that is varied; several params are combined, the last the fastest. */
  readonly values: Readonly<Record<string, readonly string[]>>;
  /** Called before each build that runs, and after each. */
  readonly onRun?: (done: number, total: number, folder: string) => void;
  readonly onBuilt?: (result: BuildResult) => void;
}

/** Values as `--sweep NAME=a,b,c` gives them; lists as JSON: `keep=["fc"],["conv1"]`. */
export function sweepValues(text: string): string[] {
  try {
    const values = JSON.parse(`[${text}]`) as unknown[];
    return values.map((v) => (typeof v === "string" ? v : JSON.stringify(v)));
  } catch {
    return text.split(",").map((t) => t.trim());
  }
}

function combinations({ values, set }: SweepOptions): Record<string, string>[] {
  let all: Record<string, string>[] = [{}];
  for (const [name, list] of Object.entries(values)) {
    if (list.length === 0)
      fail("CEC1001", { message: `--sweep ${name}= has no values`, help: `give some, with commas between: --sweep ${name}=a,b` });
    if (name in set) fail("CEC1001", { message: `\`${name}\` is both set and swept`, help: `leave out --set ${name}=${set[name]}` });
    if (list.length * all.length > MAX_RUNS) fail("CEC1001", { message: `the sweep has more than ${MAX_RUNS} builds`, help: "sweep fewer values" });
    all = all.flatMap((c) => list.map((v) => ({ ...c, [name]: v })));
  }
  return all;
}

const listed = (params: Readonly<Record<string, string>>): string =>
  Object.entries(params)
    .map(([k, v]) => `${k}=${v}`)
    .join(", ");

const folderOf = (params: Readonly<Record<string, string>>): string =>
  Object.entries(params)
    .map(([k, v]) => `${k}=${v.replaceAll(/[^\w.+-]+/g, "_")}`)
    .join(",");

/** All that a build depends on: the files of the plan, its params, and what it reads. */
async function keyOf(file: CheckedFile, plan: CheckedPlan, o: SweepOptions): Promise<string> {
  const h = createHash("sha256").update(JSON.stringify([version, plan.name, [...file.params.values()], o.engine ?? ""]));
  for (const [path, text] of file.sources) h.update(path).update(text);
  const models = [...(plan.source.kind === "file" ? [plan.source.path] : []), ...plan.steps.flatMap((s) => s.models.map((m) => m.path))];
  for (const path of models) {
    const found = statSync(path, { throwIfNoEntry: false });
    h.update(JSON.stringify([path, found?.size, found?.mtimeMs]));
  }
  for (const ref of [...(plan.calibrate === null ? [] : [plan.calibrate]), ...plan.evaluate.map((e) => e.data)])
    h.update(await contentKey(await openRef(file, ref)));
  for (const name of plan.steps.flatMap((s) => s.data)) h.update(await contentKey(await openSource(dataSource(file, name))));
  return h.digest("hex");
}

function readRows(path: string): SweepRow[] {
  if (!existsSync(path)) return [];
  try {
    return z.object({ runs: z.array(rowSchema) }).parse(JSON.parse(readFileSync(path, "utf8"))).runs;
  } catch {
    // Cut short, or no file of ours: the sweep begins anew and replaces it.
    return [];
  }
}

function metricsOf(r: BuildReport): SweepRow["metrics"] {
  return r.evaluations.flatMap((e) => {
    const pair = e.engines.native ?? e.engines.ort;
    const finite = (v: number | null | undefined): number | null => (v === undefined || v === null || !Number.isFinite(v) ? null : v);
    return e.metrics.map((m) => ({ metric: m, data: e.data, before: finite(pair?.before.values[m]), after: finite(pair?.after.values[m]) }));
  });
}

/**
 * Builds the plan once for each combination of values. A build whose input is at fault is a row too, and the others go on.
 * @throws CecError faults of the plan itself, with every combination checked before the first build; CEC1005 when stopped
 */
export async function sweep(path: string, o: SweepOptions): Promise<readonly SweepRow[]> {
  const runs = [];
  const folders = new Set<string>();
  if (o.stopAfterPatch !== undefined)
    fail("CEC1001", { message: "--stop-after-patch is for one build, not for a sweep", help: "build one of the values with --set" });
  const seen = new Set<string>();
  for (const params of combinations(o)) {
    const file = await openPlan(path, { ...o.set, ...params });
    throwErrors(file);
    const meant = JSON.stringify([...file.params.values()].map((p) => p.value));
    if (seen.has(meant)) fail("CEC1001", { message: `the sweep has the build ${listed(params)} twice`, help: "give each value of a param once" });
    seen.add(meant);
    const wanted = folderOf(params);
    const folder = folders.has(wanted) ? `${wanted}.${folders.size}` : wanted;
    folders.add(folder);
    runs.push({ params, file, plan: choosePlan(file, o.plan), folder });
  }
  const state = join(o.out, "sweep.json");
  const known = readRows(state);
  const rows: SweepRow[] = [];
  for (const [i, { params, file, plan, folder }] of runs.entries()) {
    const key = await keyOf(file, plan, o);
    const before = known.find(
      (r) => r.key === key && r.folder === folder && r.outcome !== "failed" && r.files.every((f) => existsSync(join(o.out, f))),
    );
    if (before === undefined) o.onRun?.(i, runs.length, folder);
    rows.push(before ?? (await oneRun(file, plan, { params, folder, key }, o)));
    writeFileAtomic(state, `${JSON.stringify({ runs: rows }, null, 2)}\n`);
  }
  return rows;
}

async function oneRun(file: CheckedFile, plan: CheckedPlan, row: Pick<SweepRow, "params" | "folder" | "key">, o: SweepOptions): Promise<SweepRow> {
  const started = performance.now();
  const seconds = (): number => (performance.now() - started) / 1000;
  try {
    const result = await build(file, plan, {
      ...o,
      out: join(o.out, row.folder),
      ...(o.dumpDir === undefined ? {} : { dumpDir: join(o.dumpDir, row.folder) }),
    });
    o.onBuilt?.(result);
    const { report } = result;
    const files = [...result.reports, ...(report.holds ? report.outputs.map((f) => f.path) : [])].map((f) => relative(o.out, f));
    return { ...row, outcome: report.holds ? "holds" : "broken", files, metrics: metricsOf(report), size: report.size.ratio, seconds: seconds() };
  } catch (error) {
    if (!(error instanceof CecError) || error.exitCode === 70 || error.diagnostics[0]?.code === "CEC1005") throw error;
    return { ...row, outcome: "failed", message: error.message, files: [], metrics: [], size: null, seconds: seconds() };
  }
}

/** One line a build: values, what was measured of the result, size, outcome. */
export function sweepTable(rows: readonly SweepRow[], s: Style): string {
  const params = Object.keys(rows[0]?.params ?? {});
  const measured = rows.find((r) => r.metrics.length > 0)?.metrics ?? [];
  const several = new Set(measured.map((m) => m.data)).size > 1;
  const head = [...params, ...measured.map((m) => (several ? `${m.metric} on ${m.data}` : m.metric)), "size", "outcome", "time"];
  const table = new Table({
    head: head.map(s.bold),
    colAligns: head.map((_, i) => (i < params.length || i === head.length - 2 ? "left" : "right")),
    style: { head: [], border: [], compact: true },
  });
  const outcome = { holds: s.green("holds"), broken: s.red("a requirement fails"), failed: s.red("failed") };
  for (const r of rows)
    table.push([
      ...params.map((p) => r.params[p] ?? ""),
      ...measured.map((m) => formatMetric(m.metric as Metric, r.metrics.find((x) => x.metric === m.metric && x.data === m.data)?.after ?? null)),
      r.size === null ? "-" : `${r.size.toFixed(3)}x`,
      outcome[r.outcome],
      `${r.seconds.toFixed(1)} s`,
    ]);
  const faults = rows.flatMap((r) => (r.message === undefined ? [] : [`${r.folder}: ${r.message}`]));
  return [table.toString(), ...faults].join("\n");
}
