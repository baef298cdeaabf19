import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { importOnnx } from "../../../compiler/core/index.js";
import { cec, interrupted, temporaryFolder, write } from "../support.js";

/** A small net is trained, and then quantized with and without training, all in one plan each. */
const plan = (quantization: string): string => `
data shapes {
  train: generated { shape: [1, 16, 16], count: 512, seed: 1 }
  test: generated { shape: [1, 16, 16], count: 256, seed: 2 }
}
model net() {
  input image: f32[N, 1, 16, 16]
  x = image |> conv2d(8, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu |> max_pool(2)
  x = x |> conv2d(16, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu
  x = x |> conv2d(16, kernel: 3, pad: 1, bias: false) |> batch_norm |> relu
  output logits = x |> global_avg_pool |> flatten |> linear(10)
}
plan p {
  source model net
  calibrate shapes.train[0:64]
  evaluate top1 on shapes.test
  train { data: "shapes.train", batch: 32, epochs: 8, rate: 0.1 }
  fold_batch_norm
  canonicalize
  fuse
  ${quantization}
  emit onnx "net.onnx"
  emit native "net.cecb"
}
`;
const bits = "weight_bits: 3, activation_bits: 3, ends_bits: 3";
const trained = (more: string): string => `qat int8 { ${bits}, data: "shapes.train", batch: 32, epochs: 4, ${more} }`;

function built(folder: string, out: string, ...more: string[]) {
  const r = cec(folder, ["build", "plan.cplan", "--out", out, ...more]);
  expect(r.stderr.replace(/^warning.*\n(?: = .*\n)*/gm, "")).toBe("");
  expect(r.status).toBe(0);
  const report = JSON.parse(readFileSync(join(folder, out, "report.json"), "utf8"));
  const [e] = report.evaluations;
  return { report, top1: e.engines.native.after.values.top1 as number, ort: e.engines.ort.after.values.top1 as number, agreement: e.engineAgreement };
}

it("at 3 bits training takes back what quantization loses, in our engine and in ONNX Runtime alike; weights are stored in 4 bits", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan(`quantize int8 { ${bits}, weight_range: mse }`));
  const ptq = built(folder, "ptq");
  write(folder, "plan.cplan", plan(trained("rate: 0.01")));
  const qat = built(folder, "qat");
  expect(qat.top1).toBeGreaterThan(ptq.top1 + 5);
  expect(qat.ort).toBe(qat.top1);
  expect(qat.agreement).toBe(100);
  expect(qat.report.passes.find((p: { name: string }) => p.name === "train-int8").statistics.steps).toBe(4 * 16);
  const graph = importOnnx(readFileSync(join(folder, "qat/net.onnx")));
  expect(graph.opsOf("constant").filter((op) => op.outputs[0]?.type.kind === "tensor" && op.outputs[0].type.elem === "i4")).toHaveLength(4);
  // The file as it was written gives what the graph in memory does.
  const r = cec(folder, ["eval", "qat/net.onnx", "--data", "plan.cplan#shapes.test", "--metric", "top1", "--json"]);
  expect(JSON.stringify(JSON.parse(r.stdout))).toContain(String(qat.top1));
});

it("killed while it trains, the same command goes on to the same bytes, on any number of threads", async () => {
  const folder = temporaryFolder();
  write(
    folder,
    "plan.cplan",
    plan(trained('rate: 0.01, validate: "shapes.test", learned_step: false, checkpoint_every: 1')).replace("epochs: 8", "epochs: 1"),
  );
  built(folder, "whole", "--threads", "2");
  let seen = 0;
  const killed = await interrupted(
    folder,
    ["build", "plan.cplan", "--out", "cut"],
    "SIGKILL",
    () => existsSync(join(folder, "cut/qat.ckpt")) && ++seen > 10,
  );
  expect(killed.status).toBe(null);
  built(folder, "cut");
  expect(readFileSync(join(folder, "cut/net.onnx")).equals(readFileSync(join(folder, "whole/net.onnx")))).toBe(true);
});

it("what the loss does not reach, frozen weights and another head, keeps its calibrated steps", () => {
  const folder = temporaryFolder();
  const short = 'data: "shapes.train", batch: 32, steps: 4, rate: 0.01';
  const net = (quantization: string): string =>
    plan(quantization)
      .replace("epochs: 8", "steps: 16")
      .replace("conv2d(16, kernel: 3, pad: 1, bias: false)", 'conv2d(16, kernel: 3, pad: 1, bias: false, name: "second")');
  const learned = (out: string): number => {
    const { report } = built(folder, out);
    return report.passes.find((p: { name: string }) => p.name === "train-int8").statistics.parameters;
  };
  write(folder, "plan.cplan", net(`qat int8 { ${short} }`));
  const all = learned("all");
  write(folder, "plan.cplan", net(`qat int8 { ${short}, frozen: ["second*"] }`));
  expect(learned("frozen")).toBeLessThan(all);
  const head = "  output logits = x |> global_avg_pool |> flatten |> linear(10)\n";
  write(folder, "plan.cplan", net(`qat int8 { ${short} }`).replace(head, `${head}  output other = x |> global_avg_pool |> flatten |> linear(3)\n`));
  expect(learned("heads")).toBe(all);
});

it("faults of the options are told in the plan's terms", () => {
  const folder = temporaryFolder();
  write(folder, "plan.cplan", plan('qat int8 { data: "shapes.train", weight_bits: 9 }'));
  expect(cec(folder, ["check", "plan.cplan"]).stderr).toMatch(/weight_bits/);
  write(folder, "plan.cplan", plan('qat int8 { data: "shapes.train" }').replace("calibrate shapes.train[0:64]", ""));
  const r = cec(folder, ["build", "plan.cplan", "--out", "out"]);
  expect(r.status).toBe(1);
  expect(r.stderr).toContain("error[CEC4006]");
  expect(r.stderr).toContain("help: add `calibrate DATA` to the plan; only");
});
