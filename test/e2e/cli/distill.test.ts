import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { constantTensor, importOnnx } from "../../../compiler/core/index.js";
import { cec, filesIn, interrupted, temporaryFolder, write } from "../support.js";

const file = (options: string): string => `
param draw: int = 0
data shapes {
  train: generated { shape: [1, 16, 16], count: 512, seed: 1 }
  test: generated { shape: [1, 16, 16], count: 256, seed: 2 }
}
model net(width = 8) {
  input image: f32[N, 1, 16, 16]
  x = image |> conv2d(width, kernel: 3, pad: 1, bias: false, name: "first") |> batch_norm |> relu(name: "low") |> max_pool(2)
  x = x |> conv2d(2 * width, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu(name: "high")
  output logits = x |> global_avg_pool |> flatten |> linear(10)
}
plan large {
  source model net(width: 16)
  seed draw
  evaluate top1 on shapes.test
  train { data: "shapes.train", batch: 32, epochs: 10, rate: 0.1, checkpoint: "" }
  emit onnx "large.onnx"
}
plan small {
  source model net(width: 8)
  calibrate shapes.train[0:64]
  evaluate top1 on shapes.test
  distill { data: "shapes.train", batch: 32, rate: 0.1, ${options} }
  emit onnx "net.onnx"
}
`;
const folder = temporaryFolder();
const build = (options: string, out: string, ...more: string[]) => {
  write(folder, "plan.cplan", file(options));
  return cec(folder, ["build", "plan.cplan", "--plan", "small", "--out", out, ...more]);
};
const top1 = (out: string): number =>
  JSON.parse(readFileSync(join(folder, out, "report.json"), "utf8")).evaluations[0].engines.native.after.values.top1;

it("trains a teacher, and a student by it; nothing of the teacher is in the result", () => {
  write(folder, "plan.cplan", file('teacher: "large.onnx"'));
  const teacher = cec(folder, ["build", "plan.cplan", "--plan", "large", "--out", "."]);
  expect(teacher.status).toBe(0);
  expect(top1(".")).toBeGreaterThan(80);
  const before = readFileSync(join(folder, "large.onnx"));
  const r = build('teacher: "large.onnx", epochs: 12, hidden: { low: "low", "high": "high" }', "out");
  expect(r.status).toBe(0);
  expect(top1("out")).toBeGreaterThan(70);
  expect(readFileSync(join(folder, "large.onnx")).equals(before)).toBe(true);
  const report = JSON.parse(readFileSync(join(folder, "out/report.json"), "utf8"));
  const { statistics } = report.passes.find((p: { name: string }) => p.name === "distill");
  // Folded and fused: two convolutions, two pools, a flatten, a product.
  expect(statistics).toEqual({ steps: 12 * 16, skipped: 0, parameters: 12, teacher: 6 });
  const graph = importOnnx(readFileSync(join(folder, "out/net.onnx")));
  const names = graph.ops.flatMap((op) => [op.name, ...op.outputs.map((v) => v.name)]);
  expect(names.filter((n) => /teacher|distill|projection/.test(n))).toEqual([]);
  expect(graph.opsOf("conv").map((op) => constantTensor(op.inputs[1])?.dims[0])).toEqual([8, 16]);
});

it("without labels the teacher is enough; an INT8 teacher does as well", () => {
  expect(build('teacher: "large.onnx", epochs: 12, alpha: 1, teacher_precision: int8', "int8").status).toBe(0);
  expect(top1("int8")).toBeGreaterThan(70);
  expect(build('teacher: "large.onnx", epochs: 12, alpha: 1, soft: logits', "logits").status).toBe(0);
  expect(top1("logits")).toBeGreaterThan(70);
  expect(build('teacher: "large.onnx", epochs: 1, alpha: 0', "hard").status).toBe(0);
});

it("killed, the same command goes on to the same bytes; another teacher starts anew", async () => {
  const options = 'teacher: "large.onnx", epochs: 4, hidden: { low: "low" }, checkpoint_every: 1';
  expect(build(options, "whole", "--threads", "2").status).toBe(0);
  const want = readFileSync(join(folder, "whole/net.onnx"));
  let seen = 0;
  const cut = await interrupted(folder, ["build", "plan.cplan", "--plan", "small", "--out", "cut"], "SIGKILL", () => {
    return existsSync(join(folder, "cut/training.ckpt")) && ++seen > 8;
  });
  expect(cut.status).toBe(null);
  expect(filesIn(join(folder, "cut")).includes("net.onnx")).toBe(false);
  expect(build(options, "cut").status).toBe(0);
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(want)).toBe(true);
  // A teacher of other weights under the same name: nothing of the old course is used.
  const teacher = readFileSync(join(folder, "large.onnx"));
  const other = cec(folder, ["build", "plan.cplan", "--plan", "large", "--out", "other", "--set", "draw=1"]);
  expect(other.status).toBe(0);
  write(folder, "large.onnx", readFileSync(join(folder, "other/large.onnx")));
  expect(build(options, "cut").status).toBe(0);
  const anew = readFileSync(join(folder, "cut/net.onnx"));
  expect(anew.equals(want)).toBe(false);
  expect(build(options, "fresh").status).toBe(0);
  expect(readFileSync(join(folder, "fresh/net.onnx")).equals(anew)).toBe(true);
  write(folder, "large.onnx", teacher);
}, 120_000);

it("names a teacher that is not there, or does not fit, at its place in the plan", () => {
  const line =
    file("X")
      .split("\n")
      .findIndex((l) => l.includes("distill {")) + 1;
  const missing = build('teacher: "missing.onnx", epochs: 1', "none");
  expect(missing.status).toBe(1);
  expect(missing.stderr).toContain("error[CEC1002]: there is no model at");
  expect(missing.stderr).toMatch(new RegExp(`plan.cplan:${line}:\\d+`));
  write(folder, "broken.onnx", "no model");
  const broken = build('teacher: "broken.onnx", epochs: 1', "none");
  expect(broken.stderr).toContain("error[CEC3001]");
  expect(broken.stderr).toMatch(new RegExp(`plan.cplan:${line}:\\d+`));
  const drawn = build('teacher: "plan.cplan#net", epochs: 1', "none");
  expect(drawn.stderr).toContain("error[CEC1002]");
  expect(drawn.stderr).toContain("has no trained weights");
  const data = build('teacher: "large.onnx", epochs: 1, validate: "shapes.tset"', "none");
  expect(data.stderr).toContain("error[CEC2012]: there is no data set `shapes.tset`");
  expect(data.stderr).toContain("did you mean `shapes.test`?");
  const hidden = build('teacher: "large.onnx", epochs: 1, hidden: { low: "hihg" }', "none");
  expect(hidden.stderr).toContain('error[CEC4019]: the teacher has no tensor or op "hihg"');
  expect(filesIn(join(folder, "none"))).toEqual([]);
});

it("plans the memory of a step beside its teacher, and of quantization-aware training", () => {
  const inspect = (options: string, statement = "distill") => {
    write(folder, "plan.cplan", file(options).replace("distill {", `${statement} {`));
    const r = cec(folder, ["inspect", "plan.cplan#small", "--memory", "--train", "--json"]);
    expect(r.status, r.stderr).toBe(0);
    return JSON.parse(r.stdout);
  };
  const plain = inspect("epochs: 1", "train");
  const distilled = inspect('teacher: "large.onnx"');
  expect(distilled.batch).toBe(32);
  // The teacher's activations live beside the student's; it has no state.
  expect(distilled.without.totalBytes).toBeGreaterThan(plain.without.totalBytes);
  expect(distilled.stateBytes).toBe(plain.stateBytes);
  expect(inspect('teacher: "large.onnx", teacher_precision: "int8"').without.totalBytes).toBeLessThan(distilled.without.totalBytes);
  expect(inspect("epochs: 1", "fold_batch_norm\n  qat").without.steps.some((s: string) => s === "image.rounded")).toBe(true);
});
