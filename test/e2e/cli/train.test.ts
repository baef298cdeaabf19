import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { importOnnx } from "../../../compiler/core/index.js";
import { cec, filesIn, interrupted, temporaryFolder, write } from "../support.js";

const plan = (train: string): string => `
data shapes {
  train: generated { shape: [1, 16, 16], count: 512, seed: 1 }
  test: generated { shape: [1, 16, 16], count: 256, seed: 2 }
}
model net() {
  input image: f32[N, 1, 16, 16]
  x = image |> conv2d(8, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu |> max_pool(2)
  x = x |> conv2d(16, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu
  output logits = x |> global_avg_pool |> flatten |> linear(10)
}
plan p {
  source model net
  evaluate top1 on shapes.test
  train { data: "shapes.train", batch: 32, ${train} }
  emit onnx "net.onnx"
}
`;
const augmented =
  'epochs: 4, rate: 0.1, weight_decay: 0.0005, nesterov: true, augment: { crop: 2, flip: true, cutout: 3 }, validate: "shapes.test", checkpoint_every: 1';

function project(train: string): string {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan(train));
  return folder;
}
const build = (folder: string, out: string, ...more: string[]) => cec(folder, ["build", "plan.cplan", "--out", out, ...more]);

it("trains: the loss falls, the model is right, running statistics are those of the data, and the report says what was done", () => {
  const folder = project("epochs: 12, rate: 0.1");
  const r = build(folder, "out");
  expect(r.stderr).toBe("");
  expect(r.status).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8"));
  const { before, after } = report.evaluations[0].engines.native;
  expect(before.values.top1).toBeLessThan(30);
  expect(after.values.top1).toBeGreaterThan(80);
  expect(report.evaluations[0].engineAgreement).toBe(100);
  expect(report.passes.find((p: { name: string }) => p.name === "train").statistics.steps).toBe(12 * 16);
  expect(report.decisions.some((d: { pass: string; action: string }) => d.action === "trained")).toBe(true);
  const graph = importOnnx(readFileSync(join(folder, "out/net.onnx")));
  expect(graph.opsOf("batch_normalization").every((op) => op.attrs["training_mode"] !== 1)).toBe(true);
});

it("killed at any moment, the same command goes on to the same bytes; threads and loaders do not matter", async () => {
  const folder = project(augmented);
  expect(build(folder, "whole", "--threads", "2").status).toBe(0);
  const want = readFileSync(join(folder, "whole/net.onnx"));
  let kills = 0;
  for (let i = 0; i < 4; i++) {
    const before = existsSync(join(folder, "cut/training.ckpt")) ? readFileSync(join(folder, "cut/training.ckpt")).length : -1;
    let seen = 0;
    const r = await interrupted(folder, ["build", "plan.cplan", "--out", "cut"], "SIGKILL", () => {
      const path = join(folder, "cut/training.ckpt");
      if (!existsSync(path)) return false;
      // A few polls after a new checkpoint: while the next step, or the next write, is under way.
      return ++seen > 4 + 9 * i && before !== 0;
    });
    if (r.status === null) kills++;
    expect(filesIn(join(folder, "cut")).includes("net.onnx")).toBe(r.status === 0);
    if (r.status === 0) break;
  }
  expect(kills).toBeGreaterThan(1);
  expect(build(folder, "cut").status).toBe(0);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(want)).toBe(true);
  write(folder, "plan.cplan", plan(`${augmented}, workers: 0`));
  expect(build(folder, "alone").status).toBe(0);
  expect(readFileSync(join(folder, "alone/net.onnx")).equals(want)).toBe(true);
});

it("a checkpoint of other settings is not used, a damaged one is refused", () => {
  const folder = project("epochs: 1, rate: 0.1");
  expect(build(folder, "a").status).toBe(0);
  write(folder, "plan.cplan", plan("epochs: 1, rate: 0.05"));
  expect(build(folder, "b").status).toBe(0);
  const want = readFileSync(join(folder, "b/net.onnx"));
  expect(build(folder, "a").status).toBe(0);
  expect(readFileSync(join(folder, "a/net.onnx")).equals(want)).toBe(true);
  const path = join(folder, "a/training.ckpt");
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(path, bytes);
  const r = build(folder, "a");
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC5006]");
  expect(r.stderr).toContain("remove it to train from the start");
});

it("stops with the step and the tensor where the loss is no number any more", () => {
  const r = build(project("epochs: 2, rate: 1e30, schedule: constant"), "out");
  expect(r.status).toBe(1);
  expect(r.stderr).toMatch(/error\[CEC4017\]: training diverged at step \d+/);
  expect(r.stderr).toMatch(/the first tensor that is not finite is "[^"]+", (given by [\w.]+( "[^"]+")?|an input or a state of the step)/);
});

it("names data that is not there", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan("epochs: 1").replace('"shapes.train"', '"shapes.trian"'));
  const r = build(folder, "out");
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC2012]: there is no data set `shapes.trian`");
  expect(r.stderr).toContain("shapes.train");
});

it("stops where it gets no better, and keeps the best weights", () => {
  const folder = project(
    'epochs: 50, rate: 1e-12, batch_norm: frozen, optimizer: adamw, weight_decay: 0.01, validate: "shapes.test", evaluate_every: 3, patience: 2',
  );
  expect(build(folder, "out").status).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8"));
  // The first measurement is the best; two more are no better.
  expect(report.passes.find((p: { name: string }) => p.name === "train").statistics.steps).toBe(9);
  expect(report.decisions.find((d: { pass: string }) => d.pass === "train").reason).toMatch(/^9 steps, loss .* at step 3$/);
});

it("in f16: skips what overflows, tells, and goes on to the same bytes after it was killed", async () => {
  const folder = project("epochs: 4, rate: 0.1, precision: f16, loss_scale: 1099511627776, scale_growth: 20, checkpoint_every: 1");
  expect(build(folder, "whole", "--threads", "2").status).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, "whole/report.json"), "utf8"));
  expect(report.evaluations[0].engines.native.after.values.top1).toBeGreaterThan(25);
  const { skipped } = report.passes.find((p: { name: string }) => p.name === "train").statistics;
  expect(skipped).toBeGreaterThan(5);
  expect(report.decisions.find((d: { pass: string }) => d.pass === "train").reason).toMatch(
    new RegExp(`loss scale \\d+ at the end, ${skipped} steps skipped, [\\d.e-]+ % of gradients became 0 in f16`),
  );
  let seen = 0;
  const cut = await interrupted(
    folder,
    ["build", "plan.cplan", "--out", "cut"],
    "SIGKILL",
    () => existsSync(join(folder, "cut/training.ckpt")) && ++seen > 15,
  );
  expect(cut.status).toBe(null);
  expect(build(folder, "cut").status).toBe(0);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(readFileSync(join(folder, "whole/net.onnx")))).toBe(true);
});

it("Ctrl-C leaves a checkpoint of the last step, and the same command goes on", async () => {
  const folder = project('epochs: 8, rate: 0.1, checkpoint_every: 1000000, validate: "shapes.test", evaluate_every: 1000000');
  expect(build(folder, "whole").status).toBe(0);
  let since = 0;
  const cut = await interrupted(folder, ["build", "plan.cplan", "--out", "cut"], "SIGINT", () => {
    if (!existsSync(join(folder, "cut"))) return false;
    since ||= performance.now();
    // Past loading and compiling, within training.
    return performance.now() - since > 700;
  });
  expect(cut.status).toBe(1);
  expect(cut.stderr).toContain("error[CEC1005]");
  if (existsSync(join(folder, "cut/training.ckpt"))) expect(cut.stderr).toContain("training was interrupted after step");
  expect(filesIn(join(folder, "cut")).includes("net.onnx")).toBe(false);
  expect(build(folder, "cut").status).toBe(0);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(readFileSync(join(folder, "whole/net.onnx")))).toBe(true);
});
