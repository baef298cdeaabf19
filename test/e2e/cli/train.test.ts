import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { importOnnx } from "../../../compiler/core/index.js";
import { cec, filesIn, interrupted, samples, temporaryFolder, write } from "../support.js";

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

it("statements of one plan have a checkpoint each: killed in the second, the first is not trained again", async () => {
  const folder = temporaryFolder();
  const train = (more: string): string => `train { data: "shapes.train", batch: 32, steps: 24, rate: 0.02, checkpoint_every: 1${more} }`;
  const two = (first: string, second: string): string => plan("").replace(/train \{ data: "shapes.train".*\}/, `${train(first)}\n  ${train(second)}`);
  write(folder, "plan.cplan", two("", ""));
  expect(build(folder, "whole").status).toBe(0);
  const [first, second] = [join(folder, "cut/training.ckpt"), join(folder, "cut/training-2.ckpt")];
  const cut = await interrupted(folder, ["build", "plan.cplan", "--out", "cut"], "SIGKILL", () => existsSync(second));
  expect(cut.status).toBe(null);
  const { mtimeMs } = statSync(first);
  expect(build(folder, "cut").stderr).not.toContain("CEC5007");
  expect(statSync(first).mtimeMs).toBe(mtimeMs);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(readFileSync(join(folder, "whole/net.onnx")))).toBe(true);
  const faults = [
    [
      ', checkpoint: "a.ckpt"',
      ', checkpoint: "./a.ckpt"',
      "error[CEC2007]: the checkpoint of train has the name of the checkpoint of another train: ./a.ckpt",
    ],
    [', checkpoint: "net.onnx"', "", "error[CEC2007]: the checkpoint of train has the name of an output: net.onnx"],
    [', checkpoint: "../../a.ckpt"', "", "error[CEC2006]: `checkpoint` of train is a file in the output folder"],
  ] as const;
  for (const [one, other, message] of faults) {
    write(folder, "plan.cplan", two(one, other));
    const checked = cec(folder, ["check", "plan.cplan"]);
    expect(checked.status).toBe(1);
    expect(checked.stderr).toContain(message);
  }
  write(folder, "out/training.ckpt/file", "");
  write(folder, "plan.cplan", two("", ""));
  expect(build(folder, "out").stderr).toContain("is a folder\n");
});

it("a checkpoint of other settings is kept aside and found again, a damaged one is refused", () => {
  const folder = project("epochs: 1, rate: 0.1");
  const checkpoints = (): string[] => filesIn(join(folder, "a")).filter((f) => f.endsWith(".ckpt"));
  expect(build(folder, "a").stderr).not.toContain("CEC5007");
  const first = readFileSync(join(folder, "a/net.onnx"));
  write(folder, "plan.cplan", plan("epochs: 1, rate: 0.05"));
  expect(build(folder, "b").status).toBe(0);
  const other = build(folder, "a");
  expect(other.status).toBe(0);
  expect(other.stderr).toMatch(
    /warning\[CEC5007\]: the checkpoint training\.ckpt \(step 16\) is of another training: it is kept as training\.[0-9a-f]{8}\.ckpt, and training starts anew; other are rate \(0\.1 there, 0\.05 here\)/,
  );
  expect(readFileSync(join(folder, "a/net.onnx")).equals(readFileSync(join(folder, "b/net.onnx")))).toBe(true);
  expect(checkpoints()).toHaveLength(2);
  write(folder, "plan.cplan", plan("epochs: 1, rate: 0.1"));
  const back = build(folder, "a");
  expect(back.stderr).toMatch(/and training goes on from training\.[0-9a-f]{8}\.ckpt; other are rate/);
  expect(readFileSync(join(folder, "a/net.onnx")).equals(first)).toBe(true);
  expect(checkpoints()).toHaveLength(2);
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
  // There was none yet.
  expect(r.stderr).not.toContain("checkpoint");
});

it("says where `frozen` or `parameters` leave nothing to train", () => {
  const folder = project('epochs: 1, frozen: ["*"]');
  const message = (): string => build(folder, "out").stderr;
  expect(message()).toContain("error[CEC4014]: every parameter is frozen");
  write(folder, "plan.cplan", plan("epochs: 1").replace("train {", "quantize dynamic\n  train {"));
  expect(cec(folder, ["check", "plan.cplan"]).stderr).toMatch(/train cannot stand after quantize(?:.|\n)*help: put train before quantize/);
});

it("names the op with the greatest values where the loss grew beyond use", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan("epochs: 2, rate: 50, momentum: 0.9, schedule: constant").replaceAll(" |> batch_norm", ""));
  const r = build(folder, "out");
  expect(r.status).toBe(1);
  expect(r.stderr).toMatch(
    /error\[CEC4017\]: training diverged at step \d+: the loss grew to [\d.e+]+\n = why: the greatest values are now in "[^"]+", up to [\d.e+]+, given by \S+ "[^"]+"/,
  );
});

it("drops while training: another course than without, the same after an interruption, and nothing of it in the result", async () => {
  const folder = temporaryFolder();
  const dropped = plan("epochs: 3, checkpoint_every: 1").replace("flatten |>", "flatten |> dropout(0.3) |>");
  write(folder, "plan.cplan", dropped);
  const r = build(folder, "out", "--threads", "2");
  expect([r.status, r.stderr]).toEqual([0, ""]);
  const bytes = readFileSync(join(folder, "out/net.onnx"));
  expect(importOnnx(bytes).opsOf("dropout")).toEqual([]);
  const at = join(folder, "cut/training.ckpt");
  await interrupted(folder, ["build", "plan.cplan", "--out", "cut"], "SIGKILL", () => existsSync(at));
  expect(existsSync(join(folder, "cut/net.onnx"))).toBe(false);
  expect(build(folder, "cut").status).toBe(0);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(bytes)).toBe(true);
  write(folder, "plan.cplan", dropped.replace("  train {", "  canonicalize\n  train {"));
  const without = build(folder, "without");
  expect(without.status).toBe(0);
  expect(without.stderr).toContain("warning[CEC4033]: `train` trains without the dropout of the model (1 op)");
  expect(without.stderr).toContain("canonicalize { keep_dropout: true }");
  write(folder, "plan.cplan", dropped.replace("  train {", "  canonicalize { keep_dropout: true }\n  train {"));
  expect(build(folder, "kept").stderr).toBe("");
  expect(readFileSync(join(folder, "kept/net.onnx")).equals(readFileSync(join(folder, "without/net.onnx")))).toBe(false);
});

it("says which label no class has", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan("epochs: 1").replace("linear(10)", "linear(5)"));
  write(folder, "mse.cplan", plan("epochs: 1, loss: mse"));
  expect(cec(folder, ["build", "mse.cplan"]).stderr).toContain(
    'error[CEC5005]: data set shapes.train has no array "target"\n = why: `loss: mse` compares with one of [10] a sample\n = help: leave `loss` out',
  );
  const few = build(folder, "few");
  expect(few.status).toBe(1);
  expect(few.stderr).toMatch(
    /error\[CEC5003\]: sample \d+ of data set shapes.train has the label [5-9]\n = why: the model has 5 classes: labels are whole numbers from 0 to 4/,
  );
});

it("names data that is not there", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan("epochs: 1").replace('"shapes.train"', '"shapes.trian"'));
  const r = build(folder, "out");
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC2012]: there is no data set `shapes.trian`");
  expect(r.stderr).toContain("shapes.train");
});

it("a `validate` set that does not fit is told before the first step", () => {
  const folder = temporaryFolder();
  write(folder, "plain.npy", samples(8));
  write(folder, "empty.npy", samples(0));
  const sets = `  wide: generated { shape: [1, 8, 8], count: 8, seed: 3 }
  plain: npy { path: "plain.npy" }
  empty: npy { path: "empty.npy" }
}`;
  for (const [set, message] of [
    ["shapes.wide", 'error[CEC5005]: data set shapes.wide does not fit input "image"'],
    ["shapes.empty", "error[CEC5002]: data set shapes.empty, of `validate`, is empty"],
    ["shapes.plain", "error[CEC5003]: data set shapes.plain has no labels to measure top1 with"],
  ] as const) {
    write(folder, "plan.cplan", plan(`epochs: 1, checkpoint_every: 1, validate: "${set}"`).replace("\n}", `\n${sets}`));
    const r = build(folder, "out");
    expect(r.status).toBe(1);
    expect(r.stderr).toContain(message);
    expect(existsSync(join(folder, "out/training.ckpt"))).toBe(false);
  }
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
  // The last weights are reported by their own measurement, which went down from the best one.
  write(folder, "plan.cplan", plan('steps: 12, rate: 1, schedule: constant, validate: "shapes.test", evaluate_every: 2, keep: last'));
  expect(build(folder, "last").status).toBe(0);
  const last = JSON.parse(readFileSync(join(folder, "last/report.json"), "utf8"));
  const { top1 } = last.evaluations[0].engines.native.after.values;
  expect(last.decisions.find((d: { pass: string }) => d.pass === "train").reason).toContain(`top1 ${top1.toFixed(2)} % at step 12`);
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

it("says where most of training was lost in f16, and refuses a loss scale without end", () => {
  const folder = project("steps: 8, precision: f16, loss_scale: 1099511627776");
  const r = build(folder, "out");
  expect(r.status).toBe(0);
  expect(r.stderr).toContain("warning[CEC4022]: 8 of 8 steps were skipped because gradients overflowed in f16: give a smaller `loss_scale`");
  write(folder, "plan.cplan", plan("steps: 8, precision: f16, loss_scale: 1e30"));
  expect(cec(folder, ["check", "plan.cplan"]).stderr).toContain("error[CEC2006]");
});

it("a training that ends below its source is told as that", () => {
  const folder = project("epochs: 4, rate: 0.1");
  expect(build(folder, "good").stderr).not.toContain("CEC7009");
  write(folder, "plan.cplan", plan("steps: 6, rate: 2, schedule: constant").replace("source model net", 'source onnx "good/net.onnx"'));
  const r = build(folder, "worse");
  expect(r.status, r.stderr).toBe(0);
  expect(r.stderr).toMatch(/warning\[CEC7009\]: training ended below its source: top1 on shapes\.test is [\d.]+ %, the source's [\d.]+ %/);
  expect(r.stderr).not.toContain("recipe");
});

it("Ctrl-C leaves a checkpoint of the last step, and the same command goes on", async () => {
  const folder = project('epochs: 30, rate: 0.1, checkpoint_every: 1000000, validate: "shapes.test", evaluate_every: 1000000');
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

it("gives the same bytes where activations are made again, and goes on from a checkpoint of a run that kept them", () => {
  const folder = project("epochs: 2, rate: 0.1");
  expect(build(folder, "kept").status).toBe(0);
  const want = readFileSync(join(folder, "kept/net.onnx"));
  for (const how of ["optimum", "{ budget: 2 }"]) {
    write(folder, "plan.cplan", plan(`epochs: 2, rate: 0.1, recompute: ${how}`));
    const r = build(folder, how);
    expect(r.status, r.stderr).toBe(0);
    expect(readFileSync(join(folder, how, "net.onnx")).equals(want), how).toBe(true);
  }
  const again = build(folder, "kept");
  expect(again.status).toBe(0);
  expect(readFileSync(join(folder, "kept/net.onnx")).equals(want)).toBe(true);
  write(folder, "plan.cplan", plan("epochs: 2, rate: 0.1, recompute: { budget: 0.01 }"));
  const r = build(folder, "small");
  expect(r.status).toBe(1);
  expect(r.stderr).toMatch(/error\[CEC4018\]: a training step of 32 samples does not fit into 0.01 MiB\n = why: the least is [\d.]+ MiB/);
  // What it says is enough.
  const least = /the least is ([\d.]+) MiB/.exec(r.stderr)?.[1];
  write(folder, "plan.cplan", plan(`epochs: 2, rate: 0.1, recompute: { budget: ${least} }`));
  expect(build(folder, "least").status).toBe(0);
});

it("shows the memory of a training step from a plan and from a model, without running it", () => {
  const folder = project("epochs: 1, recompute: { every: 2 }");
  const inspect = (...args: string[]) => cec(folder, ["inspect", ...args, "--memory", "--train"]);
  const plan = JSON.parse(inspect("plan.cplan#p", "--json").stdout);
  expect(plan).toMatchObject({ batch: 32, recompute: { every: 2 } });
  const model = JSON.parse(inspect("plan.cplan#net", "--json", "--batch", "32", "--recompute", "every=2").stdout);
  for (const key of ["without", "with"]) expect(model[key].arenaBytes).toBe(plan[key].arenaBytes);
  // Weights, scales and biases with their velocities, running statistics, and the results of a step.
  const parameters = 8 * 9 + 2 * 8 + 16 * 8 * 9 + 2 * 16 + 16 * 10 + 10;
  expect(plan.stateBytes).toBe(4 * (2 * parameters + 2 * (8 + 16) + 32 * 10 + 3));
  const text = inspect("plan.cplan#p", "--html", "m.html");
  expect(text.stdout).toMatch(/times less working memory, \d+ of \d+ forward ops run twice/);
  expect(text.stdout).toContain("wrote m.html");
  const page = readFileSync(join(folder, "m.html"), "utf8");
  expect(page).toContain("Memory over a training step");
  expect(page).not.toMatch(/(src|href)="?https?:/);
  const data = JSON.parse((/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page) as RegExpExecArray)[1] as string);
  expect(data.plans.map((p: { live: number[] }) => Math.max(...p.live))).toEqual([plan.without.liveBytes, plan.with.liveBytes]);
  for (const [args, message] of [
    [["plan.cplan#p", "--recompute", "every=0"], "error[CEC1001]: --recompute takes optimum, sqrt, every=N or budget=MIB"],
    [["plan.cplan#p", "--recompute", "budget=0.01"], "error[CEC4018]"],
    [["plan.cplan#q"], "error[CEC2012]"],
  ] as const) {
    const r = inspect(...args);
    expect(r.status).toBe(1);
    expect(r.stderr).toContain(message);
  }
  write(
    folder,
    "other.cplan",
    'model net() {\n  input x: f32[N, 4]\n  output y = x |> linear(2)\n}\nplan p {\n  source model net\n  fuse\n  emit onnx "a.onnx"\n}\n',
  );
  expect(inspect("other.cplan#p").stderr).toContain("error[CEC4016]: other.cplan#p trains nothing");
});

it("a model by path takes arguments", () => {
  const folder = temporaryFolder();
  write(folder, "m.cplan", 'model net(width = 4, name = "a") {\n  input x: f32[N, 4]\n  output y = x |> linear(width)\n}\n');
  expect(JSON.parse(cec(folder, ["inspect", "m.cplan#net(width: 7)", "--json"]).stdout).parameters).toBe(7 * 5);
  expect(cec(folder, ["inspect", "m.cplan#net(width 7)"]).stderr).toContain("error[CEC1002]: `width 7` is no argument of a model");
  expect(cec(folder, ["inspect", "m.cplan#net(wide: 7)"]).stderr).toContain("has no parameter `wide`");
});
