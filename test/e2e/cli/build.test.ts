import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { importOnnx } from "../../../compiler/core/index.js";
import { cec, filesIn, interrupted, shell, smallNetOnnx, smallPlan, temporaryFolder, write } from "../support.js";

/** Without the warnings that depend on the machine: latency, and ONNX Runtime on CPUs without VNNI. */
const withoutMachine = (stderr: string): string => stderr.replaceAll(/warning\[CEC700[56]\][\s\S]*?(?=warning|$)/g, "");

function project(more = ""): string {
  const folder = temporaryFolder();
  write(folder, "net.onnx", smallNetOnnx());
  write(folder, "plan.cplan", smallPlan(more));
  return folder;
}

it("builds a plan: files, report and table", () => {
  const folder = project("  require size <= 0.6x\n  require agreement >= 50%\n  require ops in ort\n  require opset <= 17\n");
  const r = cec(folder, ["build", "plan.cplan", "--out", "out"]);
  expect(withoutMachine(r.stderr)).toBe("");
  expect(r.status).toBe(0);
  expect(filesIn(join(folder, "out"))).toEqual(["net.int8.cecb", "net.int8.onnx", "report.html", "report.json"]);
  expect(r.stdout).toContain("holds  size <= 0.6x");
  expect(r.stdout).toMatch(/file size\s+│/);
  const report = JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8"));
  expect(report.holds).toBe(true);
  expect(report.outputs.map((o: { kind: string }) => o.kind)).toEqual(["onnx", "native"]);
  expect(report.evaluations[0].engines.native.after.values.agreement).toBeGreaterThan(50);
  expect(report.evaluations[0].engineAgreement).toBeGreaterThan(98);
  expect(report.decisions.some((d: { action: string }) => d.action === "int8")).toBe(true);
  // The file says itself what it is: weights in i8, read back by our importer.
  const graph = importOnnx(readFileSync(join(folder, "out/net.int8.onnx")));
  expect(graph.opsOf("dequantize_linear").length).toBeGreaterThan(3);
  expect(graph.opsOf("constant").some((op) => op.outputs[0]?.type.kind === "tensor" && op.outputs[0].type.elem === "i8")).toBe(true);
});

it("gives the same bytes on every run, whatever the number of threads", () => {
  const folder = project();
  expect(cec(folder, ["build", "plan.cplan", "--out", "a", "--threads", "1"]).status).toBe(0);
  expect(cec(folder, ["build", "plan.cplan", "--out", "b", "--threads", "2"]).status).toBe(0);
  for (const file of ["net.int8.onnx", "net.int8.cecb"])
    expect(readFileSync(join(folder, "a", file)).equals(readFileSync(join(folder, "b", file)))).toBe(true);
});

it("exits with 2 where a requirement does not hold, and leaves no model", () => {
  const folder = project("  require size <= 0.01x\n");
  const r = cec(folder, ["build", "plan.cplan", "--out", "out"]);
  expect(r.status).toBe(2);
  expect(r.stderr).toContain("error[CEC7001]: `require size <= 0.01x` does not hold");
  expect(r.stderr).toContain("plan.cplan:");
  expect(filesIn(join(folder, "out"))).toEqual(["report.html", "report.json"]);
  expect(JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8")).holds).toBe(false);
});

it("sets params, and names one that is not there", () => {
  const folder = project();
  expect(cec(folder, ["build", "plan.cplan", "--out", "out", "--set", "range=minmax"]).status).toBe(0);
  const wrong = cec(folder, ["build", "plan.cplan", "--out", "out", "--set", "rang=minmax"]);
  expect(wrong.status).toBe(1);
  expect(wrong.stderr).toContain("error[CEC2017]: there is no param `rang`");
  expect(wrong.stderr).toContain("did you mean `range`?");
  const value = cec(folder, ["build", "plan.cplan", "--out", "out", "--set", "range=minmaxx"]);
  expect(value.status).toBe(1);
  expect(value.stderr).toContain("CEC2006");
});

it("dumps IR after passes that changed the graph, and checks values numerically", () => {
  const folder = project();
  const r = cec(folder, ["build", "plan.cplan", "--out", "out", "--dump-ir=changed", "--dump-dir", "ir", "--verify=numeric"]);
  expect(r.status).toBe(0);
  const dumps = filesIn(join(folder, "ir"));
  expect(dumps[0]).toBe("0000-source.cir");
  expect(dumps.some((d) => d.endsWith("-after-materialize-qdq.cir"))).toBe(true);
  expect(readFileSync(join(folder, "ir", dumps.at(-1) as string), "utf8")).toMatch(/^cir 1\n/);
});

it("prints the report as JSON, and nothing else on standard output", () => {
  const folder = project();
  const r = cec(folder, ["build", "plan.cplan", "--out", "out", "--json"]);
  expect(r.status).toBe(0);
  expect(JSON.parse(r.stdout).plan.name).toBe("small");
});

it("stops after a patch without writing a model", () => {
  const folder = project();
  const r = cec(folder, ["build", "plan.cplan", "--out", "out", "--stop-after-patch", "3"]);
  expect(r.status).toBe(0);
  expect(filesIn(join(folder, "out"))).toEqual(["report.html", "report.json"]);
});

it("leaves nothing behind on Ctrl-C", async () => {
  const folder = temporaryFolder();
  write(folder, "net.onnx", smallNetOnnx());
  write(folder, "plan.cplan", smallPlan().replace("count: 64", "count: 200000"));
  // The staged files are there while the proof runs.
  const r = await interrupted(
    folder,
    ["build", "plan.cplan", "--out", "out"],
    "SIGINT",
    () => existsSync(join(folder, "out")) && filesIn(join(folder, "out")).length >= 2,
  );
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC1005]");
  expect(filesIn(join(folder, "out"))).toEqual([]);
});

it("leaves nothing behind when the disk is full", () => {
  const folder = project();
  // A limit on the size of files: writes beyond it fail as on a full disk.
  const r = shell(folder, "trap '' XFSZ; ulimit -f 2; $CEC build plan.cplan --out out");
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC7004]");
  expect(filesIn(join(folder, "out")).filter((f) => !f.startsWith("report"))).toEqual([]);
});

it("runs a plug-in's pass as a statement", () => {
  const folder = project("  count_relu { least: 2 }\n");
  write(
    folder,
    "plugin.mjs",
    `import { definePass, z } from ${JSON.stringify(new URL("../../../dist/bundle/index.js", import.meta.url).href)};
export const countRelu = definePass({
  name: "count-relu", summary: "Count", from: ["float", "quantized"], to: "same", keeps: "bit-exact",
  options: z.object({ least: z.number().int().default(0) }).strict(), statistics: { found: "ops" },
  run({ graph, options, count }) { if (options.least !== 2) throw new Error("options are lost"); count("found", graph.ops.length); },
});`,
  );
  write(folder, "plan.cplan", `use "./plugin.mjs"\n${smallPlan("  count_relu { least: 2 }\n")}`);
  const r = cec(folder, ["build", "plan.cplan", "--out", "out"]);
  expect(withoutMachine(r.stderr)).toBe("");
  expect(r.status).toBe(0);
  expect(JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8")).passes.at(-1).name).toBe("count-relu");
  write(folder, "plan.cplan", `use "./plugin.mjs"\n${smallPlan("  count_relu { least: 3 }\n")}`);
  const broken = cec(folder, ["build", "plan.cplan", "--out", "broken"]);
  expect(broken.status).toBe(1);
  expect(broken.stderr).toContain("error[CEC4009]: pass count-relu failed: options are lost");
});

it("extends a plan of another file", () => {
  const folder = project();
  write(folder, "strict.cplan", 'import "./plan.cplan"\n\nplan strict extends small {\n  require cosine >= 0.5\n}\n');
  const r = cec(folder, ["build", "strict.cplan", "--plan", "strict", "--out", "out"]);
  expect(r.status).toBe(0);
  expect(r.stdout).toContain("holds  cosine >= 0.5");
  expect(cec(folder, ["build", "strict.cplan", "--out", "out"]).stderr).toContain("has 2 plans");
});

it("a plan that requires a latency of our engine lets measured times place INT8, unless it says otherwise", () => {
  const decisions = (more: string, options = "range: range"): readonly { pass: string; reason: string; figure?: number }[] => {
    const folder = project(more);
    write(folder, "plan.cplan", smallPlan(more).replace("range: range", options));
    expect(cec(folder, ["build", "plan.cplan"]).status).toBe(0);
    const report = JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8"));
    return report.decisions.filter((d: { pass: string }) => d.pass === "place-int8");
  };
  const latency = "  require latency(native, threads: 1) <= 100x\n";
  const measured = decisions(latency);
  expect(measured.length).toBeGreaterThan(3);
  for (const d of measured) {
    expect(d.reason).toMatch(/^measured: [\d.]+ µs on INT8 with its conversions, [\d.]+ µs in float/);
    expect(d.figure).toBeGreaterThan(0);
  }
  expect(decisions("")).toEqual([]);
  expect(decisions(latency, "range: range, placement: all")).toEqual([]);
});
