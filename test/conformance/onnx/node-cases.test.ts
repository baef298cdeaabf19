/**
 * ONNX's 1,884 node cases: import, text, export, ONNX's own checker, ONNX Runtime on the original and on the export, and the native engine. Prints the counts,
 * and what the engine refuses by operator.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { OLDEST_EXPORT } from "../../../compiler/core/index.js";
import { loadOrt } from "../../../compiler/driver/engine/ort.js";
import { nativeIsBuilt } from "../../../runtime-native/ts/index.js";
import { findPython, loadCases, type NodeCase, ONNX_VERSION, script } from "./cases.js";
import { ignored } from "./ignore.js";
import { exportCase, importCase, ownOpset, throughFolding, throughNative, throughOrt, throughText } from "./stages.js";

const python = findPython();
if (python === null)
  process.stderr.write(
    `SKIPPED: the ONNX node cases need a Python with onnx ${ONNX_VERSION} (CEC_PYTHON, or python3): pip install onnx==${ONNX_VERSION}\n`,
  );
const suite = python === null ? it.skip : it;

const counts = new Map<string, number>();
const bump = (what: string): unknown => counts.set(what, (counts.get(what) ?? 0) + 1);
const faults: Record<string, string[]> = { import: [], text: [], export: [], checker: [], ort: [], folding: [], native: [] };
/** Cases that the engine refuses, by what it lacks. */
const refused = new Map<string, number>();
const unexpected: string[] = [];

function settle(stage: keyof typeof ignored, name: string, fault: string | null): void {
  const reason = ignored[stage][name];
  if (fault === null && reason !== undefined) unexpected.push(`${stage} ${name}: passes now, take it off the ignore list`);
  if (fault !== null && reason === undefined) faults[stage]?.push(`${name}: ${fault}`);
}

const faultOf = (o: object): string | null => ("fault" in o ? String(o.fault) : null);

async function runCase(c: NodeCase, exported: { name: string; bytes: Uint8Array }[], hasOrt: boolean): Promise<void> {
  bump("cases");
  const graph = importCase(c);
  settle("import", c.name, faultOf(graph));
  if ("fault" in graph) return;
  bump("imported");
  const printed = throughText(graph);
  if (printed !== "ok" && "fault" in printed) faults["text"]?.push(`${c.name}: ${printed.fault}`);
  // Once at the opset of the source, and once at the least one: there, old forms are written and the exporter must see what needs more.
  const written = [await exportCase(graph, ownOpset(graph)), await exportCase(graph, OLDEST_EXPORT)];
  const fault = written.flatMap((w) => faultOf(w) ?? [])[0] ?? null;
  settle("export", c.name, fault);
  if (fault === null) {
    bump("exported to equal graphs");
    const files = written.flatMap((w) => ("bytes" in w ? [w.bytes] : []));
    files.forEach((bytes, i) => exported.push({ name: `${c.name} ${i === 0 ? "at its own opset" : "at the least opset"}`, bytes }));
    const o = hasOrt ? await throughOrt(c, graph, files) : { skip: "not installed" };
    if ("skip" in o) bump("not run by ONNX Runtime");
    else {
      const wrong = o.flatMap((r, i) => (r !== "ok" && "fault" in r ? [`${i === 0 ? "own opset" : "least opset"}: ${r.fault}`] : []));
      settle("ort", c.name, wrong[0] ?? null);
      if (wrong.length === 0) bump("equal in ONNX Runtime");
    }
  }
  const folded = await throughFolding(c);
  settle("folding", c.name, faultOf(Object(folded)));
  if (folded === "ok") bump("right by constant folding");
  if (!nativeIsBuilt()) return;
  const n = await throughNative(c, graph);
  settle("native", c.name, n === "ok" ? null : "fault" in n ? n.fault : (n.why ?? null));
  if (n === "ok") bump("right in the native engine");
  else if ("skip" in n) {
    bump("refused by the native engine");
    refused.set(n.skip, (refused.get(n.skip) ?? 0) + 1);
  }
}

async function runAll(): Promise<void> {
  const exported: { name: string; bytes: Uint8Array }[] = [];
  const hasOrt = (await loadOrt()) !== null;
  for (const c of loadCases(python as string)) await runCase(c, exported, hasOrt);
  check(exported);
}

/** ONNX's own checker over all exports, in one process. */
function check(exported: readonly { readonly name: string; readonly bytes: Uint8Array }[]): void {
  const folder = mkdtempSync(join(tmpdir(), "cec-conformance-"));
  try {
    let at = 0;
    const index: Record<string, readonly [number, number]> = {};
    for (const e of exported) {
      index[e.name] = [at, e.bytes.length];
      at += e.bytes.length;
    }
    writeFileSync(join(folder, "index.json"), JSON.stringify(index));
    writeFileSync(join(folder, "models.bin"), Buffer.concat(exported.map((e) => e.bytes)));
    const r = spawnSync(python as string, [script("check_models.py"), join(folder, "index.json"), join(folder, "models.bin")], {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    });
    if (r.status !== 0) throw new Error(r.stderr);
    const bad = JSON.parse(r.stdout) as Record<string, string>;
    for (const [name, why] of Object.entries(bad)) faults["checker"]?.push(`${name}: ${why}`);
    counts.set("exports that pass ONNX's checker", exported.length - Object.keys(bad).length);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

beforeAll(async () => {
  if (python === null) return;
  await runAll();
  const left = [...refused].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  process.stdout.write(
    `ONNX node cases: ${[...counts].map(([k, n]) => `${n} ${k}`).join(", ")}\nwhat the native engine refuses, by the operator that it lacks: ${left.map(([k, n]) => `${k} ${n}`).join(", ")}\n`,
  );
}, 600_000);

suite("imports every case, but those that are listed", () => expect(faults["import"]).toEqual([]));
suite("prints and parses every imported case", () => expect(faults["text"]).toEqual([]));
suite("exports every imported case to an equivalent file, but those that are listed", () => expect(faults["export"]).toEqual([]));
suite("writes files that ONNX's own checker takes", () => expect(faults["checker"]).toEqual([]));
suite("gives the original's results in ONNX Runtime", () => expect(faults["ort"]).toEqual([]));
suite("computes by constant folding what each case expects", () => expect(faults["folding"]).toEqual([]));
suite("computes in the native engine what each case expects, where the engine takes it", () => expect(faults["native"]).toEqual([]));
suite("lists no case that passes", () => expect(unexpected).toEqual([]));
suite("covers all cases of the package", () => expect(counts.get("cases")).toBe(1884));
