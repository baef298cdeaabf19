import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cec, filesIn, temporaryFolder, write } from "../support.js";

const plan = `
param points: float = 100
param range: string = "minmax"
param keep: list = []
data set = generated { shape: [1, 12, 12], count: 64 }
model net() {
  input image: f32[N, 1, 12, 12]
  x = image |> conv2d(4, kernel: 3, name: "first") |> relu
  output logits = x |> global_avg_pool |> flatten |> linear(10)
}
plan p {
  source model net
  calibrate set[0:32]
  evaluate top1, flips on set
  quantize { range: range, keep: keep }
  require top1 drop <= points
  emit onnx "net.onnx"
}
`;

it("builds each combination in a folder of its own, prints one table, and keeps what is built", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan);
  const args = ["build", "plan.cplan", "--out", "out", "--sweep", "range=minmax,mse", "--sweep", 'keep=["first"],[]'];
  const r = cec(folder, args);
  expect(r.status).toBe(0);
  const names = ["range=minmax,keep=_first_", "range=minmax,keep=_", "range=mse,keep=_first_", "range=mse,keep=_"];
  for (const n of names) expect(filesIn(join(folder, "out", n))).toEqual(["net.onnx", "report.json"]);
  expect(r.stderr.match(/^\d of 4: .*$/gm)).toEqual(names.map((n, i) => `${i + 1} of 4: ${n}`));
  const lines = r.stdout.split("\n").filter((l) => l.includes("holds"));
  expect(
    lines.map((l) =>
      l
        .split("│")
        .map((c) => c.trim())
        .slice(1, 3),
    ),
  ).toEqual([
    ["minmax", '["first"]'],
    ["minmax", "[]"],
    ["mse", '["first"]'],
    ["mse", "[]"],
  ]);
  const rows = JSON.parse(readFileSync(join(folder, "out/sweep.json"), "utf8")).runs;
  const report = JSON.parse(readFileSync(join(folder, "out", names[1] as string, "report.json"), "utf8"));
  expect(report.plan.params).toEqual({ points: 100, range: "minmax", keep: [] });
  expect(rows[1].size).toBe(report.size.ratio);
  expect(rows[1].metrics[0].after).toBe(report.evaluations[0].engines.native.after.values.top1);
  // One is lost: only that is built again.
  rmSync(join(folder, "out", names[2] as string), { recursive: true });
  const again = cec(folder, [...args, "--json"]);
  expect(again.stderr.match(/^\d of 4: .*$/gm)).toEqual([`3 of 4: ${names[2]}`]);
  expect(JSON.parse(again.stdout).map((x: { folder: string }) => x.folder)).toEqual(names);
  // So is one whose model is lost.
  rmSync(join(folder, "out", names[1] as string, "net.onnx"));
  expect(cec(folder, args).stderr.match(/^\d of 4: .*$/gm)).toEqual([`2 of 4: ${names[1]}`]);
  expect(existsSync(join(folder, "out", names[1] as string, "net.onnx"))).toBe(true);
  // Another plan: all are.
  write(folder, "plan.cplan", plan.replace("count: 64", "count: 63"));
  expect(cec(folder, args).stderr.match(/^\d of 4/gm)).toHaveLength(4);
});

it("goes on after a build that fails, and says so at the end", () => {
  const folder = temporaryFolder();
  write(
    folder,
    "plan.cplan",
    plan.replace("source model net", 'source onnx "${file}"').replace("param keep", 'param file: string = "a.onnx"\nparam keep'),
  );
  write(folder, "net.cplan", plan);
  expect(cec(folder, ["build", "net.cplan", "--out", "."]).status).toBe(0);
  const r = cec(folder, ["build", "plan.cplan", "--out", "out", "--sweep", "file=nope.onnx,net.onnx"]);
  expect(r.status).toBe(1);
  expect(r.stdout).toMatch(/nope\.onnx +│.*│ failed/);
  expect(r.stdout).toMatch(/net\.onnx +│.*│ holds/);
  expect(r.stdout).toContain("file=nope.onnx: CEC3001: cannot read");
  const broken = cec(folder, ["build", "net.cplan", "--out", "limits", "--sweep", "points=100,-101"]);
  expect(broken.status).toBe(2);
  expect(broken.stdout).toContain("a requirement fails");
  expect(existsSync(join(folder, "limits/points=-101/net.onnx"))).toBe(false);
});

it("checks every combination before the first build", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan);
  const unknown = cec(folder, ["build", "plan.cplan", "--sweep", "rnage=mse"]);
  expect(unknown.status).toBe(1);
  expect(unknown.stderr).toContain("error[CEC2017]: there is no param `rnage`");
  const value = cec(folder, ["build", "plan.cplan", "--sweep", "range=mse,mess"]);
  expect(value.status).toBe(1);
  expect(value.stderr).toContain("error[CEC2006]: `mess` is no value of `range`");
  const many = cec(folder, ["build", "plan.cplan", "--sweep", `points=${Array.from({ length: 1001 }, (_, i) => i).join(",")}`]);
  expect(many.stderr).toContain("error[CEC1001]: the sweep has more than 1000 builds");
  for (const [args, message] of [
    [["--sweep", "points="], "--sweep points= has no values"],
    [["--sweep", "points=1", "--sweep", "points=2"], "--sweep points is given twice"],
    [["--sweep", "points=1,2,1.0"], "the sweep has the build points=1 twice"],
    [["--sweep", "points=1,2", "--set", "points=3"], "`points` is both set and swept"],
    [["--sweep", "points=1,2", "--stop-after-patch", "1"], "--stop-after-patch is for one build, not for a sweep"],
  ] as const) {
    const r = cec(folder, ["build", "plan.cplan", ...args]);
    expect(r.status).toBe(1);
    expect(r.stderr).toContain(`error[CEC1001]: ${message}`);
  }
  expect(cec(folder, ["build", "plan.cplan", "--sweep", "points=1,x"]).stderr).toContain("error[CEC2017]: param points=x: `x` is no float");
  expect(existsSync(join(folder, "out"))).toBe(false);
});
