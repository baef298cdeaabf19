import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { codes } from "../../../compiler/core/index.js";
import { decodeNpy } from "../../../compiler/driver/data/npy.js";
import { cec, filesIn, samples, shell, smallNetOnnx, smallPlan, temporaryFolder, write } from "../support.js";

const folder = temporaryFolder();
write(folder, "net.onnx", smallNetOnnx());
write(folder, "plan.cplan", smallPlan());
write(folder, "x.npy", samples(40));

it("checks a plan, and names every fault of one run", () => {
  const good = cec(folder, ["check", "plan.cplan"]);
  expect(good.status).toBe(0);
  expect(good.stdout).toContain("plan.cplan: 0 models, 2 data sets, 1 plan, no faults");
  write(
    folder,
    "bad.cplan",
    'plan p {\n  source onnx "net.onnx"\n  fuze\n  quantize int8 { rnge: mse, weights: per_chanel }\n  require size <= 0.3%\n}\n',
  );
  const bad = cec(folder, ["check", "bad.cplan"]);
  expect(bad.status).toBe(1);
  for (const text of ["CEC2004", "did you mean `fuse`?", "CEC2005", "did you mean `range`?", "CEC2019", "bad.cplan:3:3"])
    expect(bad.stderr).toContain(text);
  expect(JSON.parse(cec(folder, ["check", "bad.cplan", "--json"]).stdout).diagnostics.length).toBeGreaterThanOrEqual(3);
});

it("formats in place, and a second time changes nothing", () => {
  const path = write(folder, "ugly.cplan", 'plan   p{\nsource onnx    "net.onnx"   // the net\n\n\n\n  fuse{residual:true}\n}\n');
  expect(cec(folder, ["fmt", "--check", "ugly.cplan"]).status).toBe(1);
  expect(cec(folder, ["fmt", "ugly.cplan"]).status).toBe(0);
  expect(readFileSync(path, "utf8")).toBe('plan p {\n  source onnx "net.onnx" // the net\n\n  fuse { residual: true }\n}\n');
  expect(cec(folder, ["fmt", "--check", "ugly.cplan"]).status).toBe(0);
});

it("explains every code", () => {
  const r = cec(folder, ["explain", "CEC2004"]);
  expect(r.status).toBe(0);
  expect(r.stdout).toContain(codes.CEC2004.title);
  expect(cec(folder, ["explain", "CEC0000"]).status).toBe(1);
});

it("quantizes with calibration samples", () => {
  const r = cec(folder, ["quantize", "net.onnx", "-o", "q.onnx", "--calibrate", "x.npy", "--json"]);
  expect(r.status).toBe(0);
  const report = JSON.parse(r.stdout);
  expect(report.size.ratio).toBeLessThan(1);
  expect(report.calibrationSamples).toBe(40);
  expect(filesIn(folder)).toContain("q.onnx");
});

it("quantizes without data: weights and dynamic only, and says so", () => {
  const r = cec(folder, ["quantize", "net.onnx", "-o", "d.onnx"]);
  expect(r.status).toBe(0);
  expect(r.stderr).toContain("weights and dynamic quantization only");
  const m = cec(folder, ["quantize", "net.onnx", "-o", "m.onnx", "--recipe", "mse"]);
  expect(m.status).toBe(1);
  expect(m.stderr).toContain("CEC4006");
});

it("refuses calibration data of another shape, and leaves no file", () => {
  write(folder, "short.npy", readFileSync(join(folder, "x.npy")).subarray(0, 1000));
  for (const [data, code] of [
    ["short.npy", "CEC5002"],
    ["nothing.npy", "CEC5001"],
    ["net.onnx", "CEC5002"],
    ["plan.cplan#shapes.tes", "CEC2012"],
  ] as const) {
    const r = cec(folder, ["quantize", "net.onnx", "-o", "none.onnx", "--calibrate", data]);
    expect([data, r.status]).toEqual([data, 1]);
    expect(r.stderr).toContain(code);
  }
  expect(filesIn(folder)).not.toContain("none.onnx");
});

it("inspects a model: parameters and multiply-adds by hand", () => {
  const r = JSON.parse(cec(folder, ["inspect", "net.onnx", "--json"]).stdout);
  expect(r.parameters).toBe(16 * 9 + 16 + 32 * 16 * 9 + 32 + 10 * 32 + 10);
  expect(r.macs).toBe(144 * 16 * 9 + 36 * 32 * 16 * 9 + 32 * 10);
  expect(r.inputs).toEqual([{ name: "image", type: "f32[N, 1, 12, 12]" }]);
  expect(cec(folder, ["inspect", "net.onnx"]).stdout).toContain("global_average_pool");
});

it("runs a model in both engines alike", () => {
  for (const engine of ["native", "ort"])
    expect(cec(folder, ["run", "net.onnx", "--input", "image=x.npy", "--output", engine, "--engine", engine]).status).toBe(0);
  const read = (engine: string) => decodeNpy(readFileSync(join(folder, engine, "logits.npy")), engine);
  const [a, b] = [read("native"), read("ort")];
  expect(a.dims).toEqual([40, 10]);
  (a.data as Float32Array).forEach((v, i) => expect(v).toBeCloseTo((b.data as Float32Array)[i] as number, 4));
  const r = cec(folder, ["run", "net.onnx", "--input", "imge=x.npy"]);
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("did you mean `image`?");
});

it("evaluates on data of a plan, and against a source", () => {
  const r = cec(folder, [
    "eval",
    "net.onnx",
    "--data",
    "plan.cplan#shapes.test[0:20]",
    "--metric",
    "top1,agreement",
    "--against",
    "net.onnx",
    "--json",
  ]);
  expect(r.status).toBe(0);
  const result = JSON.parse(r.stdout);
  expect(result.samples).toBe(20);
  expect(result.metrics.agreement).toBe(100);
  expect(cec(folder, ["eval", "net.onnx", "--data", "x.npy"]).stderr).toContain("CEC5003");
});

it("benches with median, 90th percentile and runs", () => {
  const r = JSON.parse(cec(folder, ["bench", "net.onnx", "--seconds", "0.25", "--json"]).stdout);
  expect(r).toMatchObject({ engine: "native", threads: 1, batch: 1 });
  expect(r.medianMs).toBeGreaterThan(0);
  expect(r.p90Ms).toBeGreaterThanOrEqual(r.medianMs);
});

it("compares models", () => {
  expect(cec(folder, ["diff", "net.onnx", "net.onnx"])).toMatchObject({ status: 0, stdout: "equal\n" });
  write(folder, "other.onnx", smallNetOnnx(2));
  expect(cec(folder, ["diff", "net.onnx", "other.onnx"]).status).toBe(1);
});

it("runs passes on IR and reads what it wrote", () => {
  expect(cec(folder, ["opt", "net.onnx", "--pass", "canonicalize, fuse {residual=true}", "-o", "net.cir"]).status).toBe(0);
  const again = cec(folder, ["opt", "net.cir", "--pass", "canonicalize"]);
  expect(again.status).toBe(0);
  expect(again.stdout).toMatch(/^cir 1\n/);
  expect(cec(folder, ["opt", "net.onnx", "--pass", "canonicalise"]).stderr).toContain("did you mean `canonicalize`?");
});

it("finds the patch that costs accuracy", () => {
  const r = cec(folder, ["bisect", "plan.cplan", "--metric", "sqnr", "--bound", "60", "--samples", "16", "--json"]);
  expect(r.status).toBe(0);
  expect(JSON.parse(r.stdout).patch.pass).toBe("materialize-qdq");
});

it("lists passes and tells what the machine has", () => {
  expect(cec(folder, ["passes"]).stdout).toContain("fold_batch_norm");
  expect(cec(folder, ["passes", "quantize"]).stdout).toContain("per_channel");
  expect(JSON.parse(cec(folder, ["doctor", "--json"]).stdout).native.isa).toMatch(/scalar|avx/);
});

it("ends quietly when its reader goes away", () => {
  const r = shell(folder, "set -o pipefail; $CEC opt net.onnx --pass canonicalize 2>&1 | head -1");
  expect(r.stdout.split("\n").length).toBe(2);
  expect(r.stderr).toBe("");
});

it("says what is wrong with a command line, with exit code 1", () => {
  for (const args of [
    ["bild"],
    ["build"],
    ["build", "no.cplan"],
    ["bench", "net.onnx", "--threads", "0"],
    ["inspect", "net.txt"],
    ["inspect", folder],
    ["quantize", "net.onnx"],
    ["build", "plan.cplan", "--set", "x"],
  ]) {
    const r = cec(folder, args);
    expect([args.join(" "), r.status]).toEqual([args.join(" "), 1]);
    expect(r.stderr).toMatch(/error\[CEC\d{4}\]/);
  }
  expect(cec(folder, ["--help"]).status).toBe(0);
});

it("prints the memory plan: bytes by hand for the pool's result, and what does not fit is refused", () => {
  const plan = JSON.parse(cec(folder, ["inspect", "net.onnx", "--memory", "--shape", "image=3,1,12,12", "--json"]).stdout);
  // 3 images of 16 channels, 6 by 6 after the pool, in f32.
  expect(plan.buffers.some((b: { bytes: number }) => b.bytes === 3 * 16 * 6 * 6 * 4)).toBe(true);
  expect(plan.outputBytes).toBe(3 * 10 * 4);
  expect(plan.liveBytes).toBeLessThanOrEqual(plan.arenaBytes);
  expect(plan.arenaBytes).toBeLessThan(plan.totalBytes);
  const text = cec(folder, ["inspect", "net.onnx", "--memory"]).stdout;
  expect(text).toMatch(/arena .* times the least possible .* live at step \d+ /);
  for (const [shape, message] of [
    ["imag=1", "did you mean `image`?"],
    ["image=1,x", "no list of whole numbers"],
    ["image=1,2,12,12", "CEC6005"],
  ] as const) {
    const bad = cec(folder, ["inspect", "net.onnx", "--memory", "--shape", shape]);
    expect(bad.status).toBe(1);
    expect(bad.stderr).toContain(message);
  }
  expect(cec(folder, ["inspect", "missing.cecb", "--memory"]).stderr).toContain("missing.cecb");
});

it("writes TypeScript types of a program's interface", () => {
  expect(cec(folder, ["build", "plan.cplan"]).status).toBe(0);
  const text = cec(folder, ["types", "out/net.int8.cecb", "--prefix", "Net"]).stdout;
  expect(text).toContain("/** f32[?, 1, 12, 12] */\n  readonly image: Feed<Float32Array>;");
  expect(text).toContain("export interface NetOutputs");
  expect(cec(folder, ["types", "out/net.int8.cecb", "--prefix", "1 x"]).stderr).toContain("cannot begin a name");
});

it("says which commands read a program file, where one that takes a model is given it", () => {
  for (const args of [["inspect"], ["run", "--input", "image=x.npy"], ["bench"], ["eval", "--data", "plan.cplan#shapes.test[0:20]"]]) {
    const r = cec(folder, [args[0] as string, "out/net.int8.cecb", ...args.slice(1)]);
    expect(r.status).toBe(1);
    for (const text of ["CEC1002", "is run by Session", "cec inspect --memory and cec types read it"]) expect(r.stderr).toContain(text);
  }
});
