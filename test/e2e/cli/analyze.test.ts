/** `cec analyze` as users call it: figures, advice that helps, bad input. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { exportOnnx, f32, type Graph, graphBuilder, normalFrom, randomFrom, type Value } from "../../../compiler/core/index.js";
import type { AnalysisReport } from "../../../compiler/driver/analyze/index.js";
import { encodeNpy } from "../../../compiler/driver/data/npy.js";
import { cec, filesIn, samples, smallNetOnnx, smallPlan, temporaryFolder, write } from "../support.js";

const folder = temporaryFolder();
const analysis = (args: readonly string[], at = folder): AnalysisReport => {
  const r = cec(at, ["analyze", ...args, "--json"]);
  expect(r.stderr).toBe("");
  expect(r.status).toBe(0);
  return JSON.parse(r.stdout) as AnalysisReport;
};

beforeAll(() => {
  write(folder, "net.onnx", smallNetOnnx());
  write(folder, "other.onnx", exportOnnx(broken("outlier")).bytes);
  write(folder, "plan.cplan", smallPlan());
  write(folder, "x.npy", samples(40));
  expect(cec(folder, ["quantize", "net.onnx", "-o", "q.onnx", "--calibrate", "x.npy"]).status).toBe(0);
});

/**
 * Two networks for [N, 1, 12, 12] that INT8 breaks on purpose. `outlier`: one output channel's weights are 64 times the others', and a Clip hides it from the
 * activations. `tail`: a concat joins values around 1 and values around 300, and the convolution behind it weighs them alike.
 */
function broken(how: "outlier" | "tail"): Graph {
  const b = graphBuilder(how);
  const random = randomFrom(3);
  const weights = (name: string, dims: readonly number[], scale: (i: number) => number): Value =>
    b.constant(
      name,
      f32(
        dims,
        Array.from({ length: dims.reduce((p, q) => p * q, 1) }, (_, i) => scale(i) * normalFrom(random)),
      ),
    );
  const x = b.input("image", "f32", ["N", 1, 12, 12]);
  const conv = (name: string, v: Value, dims: readonly number[], scale: (i: number) => number): Value =>
    b.value("conv", [v, weights(`${name}.w`, dims, scale)], { pads: [1, 1, 1, 1], kernel_shape: [3, 3] }, name);
  const head = (v: Value): void => {
    const pooled = b.value("average_pool", [v], { kernel_shape: [6, 6], strides: [6, 6] }, "pool");
    const flat = b.value("flatten", [pooled], { axis: 1 }, "flat");
    b.output("logits", b.value("gemm", [flat, weights("fc.w", [10, 64], () => 0.3)], { transB: 1 }, "fc"));
  };
  if (how === "outlier") {
    const first = conv("first", x, [8, 1, 3, 3], (i) => (i < 9 ? 64 : 1) * 0.3);
    const clipped = b.value("clip", [first, b.constant("low", f32([], [0])), b.constant("high", f32([], [6]))], {}, "first.clip");
    head(b.value("relu", [conv("second", clipped, [16, 8, 3, 3], () => 0.1)], {}, "second.relu"));
  } else {
    const joined = b.value("concat", [conv("scores", x, [4, 1, 3, 3], () => 0.3), conv("boxes", x, [4, 1, 3, 3], () => 100)], { axis: 1 }, "join");
    head(b.value("relu", [conv("mix", joined, [16, 8, 3, 3], (i) => (Math.floor(i / 9) % 8 < 4 ? 0.2 : 0.0006))], {}, "mix.relu"));
  }
  return b.graph;
}

it("gives figures per layer, and they agree with `cec eval`", () => {
  const r = analysis(["net.onnx", "q.onnx", "--data", "x.npy"]);
  expect(r.samples).toBe(40);
  expect(r.unmatched).toEqual([]);
  expect(r.layers.map((l) => l.name)).toEqual(["first", "pool", "second", "gap", "flat", "fc"]);
  const wanted = JSON.parse(
    cec(folder, ["eval", "q.onnx", "--data", "x.npy", "--against", "net.onnx", "--metric", "sqnr,mse,flips", "--json"]).stdout,
  );
  expect(r.output.sqnr).toBeCloseTo(wanted.metrics.sqnr, 3);
  expect(r.output.mse).toBeCloseTo(wanted.metrics.mse, 6);
  expect(r.output.flips).toBe(wanted.metrics.flips);
  // The last layer's result is the output.
  expect(r.layers.at(-1)?.accumulated?.sqnr).toBeCloseTo(r.output.sqnr, 6);
  // All layers quantized in the source are the compressed model.
  expect(r.sensitivity?.layers.map((l) => l.layer)).toEqual(["first", "second", "gap", "fc"]);
  for (const l of r.sensitivity?.layers ?? []) expect(l.alone.sqnr).toBeGreaterThan((r.sensitivity?.all.sqnr as number) - 3);
});

it("prints tables and writes a page that needs no network", () => {
  const r = cec(folder, ["analyze", "net.onnx", "q.onnx", "--data", "plan.cplan#shapes.test[0:16]", "--html", "page.html"]);
  expect(r.status).toBe(0);
  for (const text of ["16 samples of shapes.test[0:16]", "accumulated", "beyond 3σ", "coverage", "calibrate shapes.test[0:32]"])
    expect(r.stdout).toContain(text);
  const page = readFileSync(join(folder, "page.html"), "utf8");
  expect(page).toContain("<title>q.onnx: cec analysis</title>");
  expect(page).not.toMatch(/(?:src|href)\s*=\s*["']?(?:https?:)?\/\//);
  expect(page.match(/<script/g)?.length).toBe(page.match(/<\/script>/g)?.length);
});

it.each([
  ["outlier", "weights: per_tensor", '"first": { weights: per_channel }'],
  ["tail", "range: minmax, mixed_bits: 16", 'keep: ["join", "mix"]'],
] as const)("advice on a model broken on purpose helps: %s", (name, setting, wanted) => {
  const at = temporaryFolder();
  write(at, "net.onnx", exportOnnx(broken(name)).bytes);
  const plan = (options: string): string =>
    smallPlan().replace("quantize int8 { range: range }", `quantize int8 {\n${options}\n}`).replace("evaluate top1,", "evaluate sqnr,");
  const build = (options: string): number => {
    write(at, "plan.cplan", plan(options));
    expect(cec(at, ["build", "plan.cplan", "--out", "out"]).status).toBe(0);
    return JSON.parse(readFileSync(join(at, "out/report.json"), "utf8")).evaluations[0].engines.native.after.values.sqnr;
  };
  const before = build(setting);
  const { advice } = analysis(["net.onnx", "out/net.int8.onnx", "--data", "plan.cplan#shapes.calibrate"], at);
  expect(advice.plan).toContain(wanted);
  const body = /quantize int8 \{\n([\s\S]*)\n\}/.exec(advice.plan)?.[1] ?? "";
  const after = build(`${setting},\n${body}`);
  expect(after).toBeGreaterThan(before + 6);
});

it("a model that is not quantized is compared, with a warning", () => {
  const r = cec(folder, ["analyze", "net.onnx", "net.onnx", "--data", "x.npy", "--json"]);
  expect(r.status).toBe(0);
  expect(r.stderr).toContain("CEC7008");
  const report = JSON.parse(r.stdout);
  expect(report.output.mse).toBe(0);
  expect(report.quantizers).toEqual([]);
  expect(report.sensitivity).toBeNull();
});

it.each([
  [["net.onnx", "other.onnx", "--data", "x.npy"], "CEC7007"],
  [["net.onnx", "q.onnx", "--data", "y.npy"], "CEC5005"],
  [["net.onnx", "q.onnx", "--data", "empty.npy"], "CEC5002"],
  [["net.onnx", "missing.onnx", "--data", "x.npy"], "CEC"],
  [["net.onnx", "q.onnx", "--data", "missing.npy"], "CEC5001"],
  [["net.onnx", "q.onnx", "--data", "x.npy", "--samples", "0"], "CEC1001"],
  [["net.onnx", "q.onnx"], "CEC1001"],
] as const)("refuses %j", (args, code) => {
  write(folder, "y.npy", encodeNpy(f32([4, 3, 12, 12], new Array(4 * 432).fill(0.5))));
  write(folder, "empty.npy", encodeNpy(f32([0, 1, 12, 12], [])));
  const r = cec(folder, ["analyze", ...args, "--html", "none.html"]);
  expect([args.join(" "), r.status]).toEqual([args.join(" "), 1]);
  expect(r.stderr).toContain(code);
  expect(r.stderr).not.toContain("CEC9001");
  expect(filesIn(folder)).not.toContain("none.html");
});
