/** Distillation: the loss beside loops over its definition, gradients beside differences, and a teacher that nothing trains. */
import { expect, it } from "vitest";
import { fromNumbers, type Graph, runPipeline, type Tensor, toNumbers, type Value } from "../../../../compiler/core/index.js";
import { statesOf } from "../../../../passes/index.js";
import { freePrefix, joinTeacher, prepareTeacher } from "../../../../passes/train/teacher.js";
import { graphOf, runPasses } from "../support.js";
import { difference, evaluate, gradientsOf, outputOf, relativeError } from "./gradient-check.js";

/** Student and teacher as constants, hidden tensors of 2 and 3 channels. */
const both = `
  const %s : f64[2, 4] = random(1, -2, 2)
  const %t : f64[2, 4] = random(2, -6, 6)
  const %hs : f64[2, 2, 3, 1] = random(3, -1, 1)
  const %ht : f64[2, 3, 3, 1] = random(4, -1, 1)
  const %fs : f64[2, 5] = random(5, -1, 1)
  const %ft : f64[2, 3] = random(6, -1, 1)
  %logits = identity %s : f64[2, 4]
  out %logits`;
const labels = fromNumbers("i64", [2], [3, 1]);
const given = new Map<string, Tensor>([["labels", labels]]);
const values = (graph: Graph, v: Value): number[] => [...toNumbers(evaluate(graph, given)(v))];

function logSoftmax(v: readonly number[], temperature: number): number[] {
  const z = v.map((e) => e / temperature);
  const top = Math.max(...z);
  const sum = Math.log(z.reduce((s, e) => s + Math.exp(e - top), 0)) + top;
  return z.map((e) => e - sum);
}
const rows = (v: readonly number[], n: number): number[][] => Array.from({ length: v.length / n }, (_, i) => v.slice(i * n, i * n + n));

it.each([
  [1, 0.3],
  [4, 0.7],
  [10, 1],
])("at T = %f and alpha = %f the loss is alpha T² KL + (1 - alpha) cross-entropy", async (temperature, alpha) => {
  const graph = graphOf(both);
  await runPasses(graph, `distill-loss {teacher="t", temperature=${temperature}, alpha=${alpha}, label_smoothing=0.1}`);
  const s = rows(values(graph, graph.value("s") as Value), 4);
  const t = rows(values(graph, graph.value("t") as Value), 4);
  let [kl, hard] = [0, 0];
  for (const [i, label] of [3, 1].entries()) {
    const [p, q] = [logSoftmax(t[i] as number[], temperature), logSoftmax(s[i] as number[], temperature)];
    kl += p.reduce((sum, lp, c) => sum + Math.exp(lp) * (lp - (q[c] as number)), 0) / 2;
    const log = logSoftmax(s[i] as number[], 1);
    hard -= log.reduce((sum, l, c) => sum + l * (0.025 + (c === label ? 0.9 : 0)), 0) / 2;
  }
  const want = alpha * temperature ** 2 * kl + (1 - alpha) * hard;
  expect(relativeError(values(graph, outputOf(graph, "loss")), [want])).toBeLessThan(1e-12);
  // All from the teacher: no labels are asked for.
  expect(graph.inputs.map((v) => v.name)).toEqual(alpha === 1 ? [] : ["labels"]);
});

it("matches logits and hidden tensors by their mean squared differences, with projections where widths differ", async () => {
  const graph = graphOf(both);
  await runPasses(
    graph,
    'distill-loss {teacher="t", soft="logits", alpha=0.25, hidden_weight=3, hidden=[{student="hs", teacher="ht"}, {student="fs", teacher="ft"}, {student="t", teacher="s"}]}',
  );
  const of = (name: string): number[] => values(graph, graph.value(name) as Value);
  const mse = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, v, i) => sum + (v - (b[i] as number)) ** 2, 0) / a.length;
  const hard = rows(of("s"), 4).reduce((sum, row, i) => sum - (logSoftmax(row, 1)[[3, 1][i] as number] as number) / 2, 0);
  const conv = of("distill.projection.0");
  const hs = of("hs");
  // [n, 3, 3, 1] = sum over 2 channels.
  const projected = Array.from({ length: 18 }, (_, i) => {
    const [n, c, y] = [Math.floor(i / 9), Math.floor(i / 3) % 3, i % 3];
    return [0, 1].reduce((sum, k) => sum + (conv[c * 2 + k] as number) * (hs[n * 6 + k * 3 + y] as number), 0);
  });
  const matrix = of("distill.projection.1");
  const features = rows(of("fs"), 5).flatMap((row) => [0, 1, 2].map((c) => row.reduce((sum, v, k) => sum + v * (matrix[k * 3 + c] as number), 0)));
  const want = 0.25 * mse(of("s"), of("t")) + 0.75 * hard + 3 * (mse(projected, of("ht")) + mse(features, of("ft")) + mse(of("t"), of("s")));
  expect(relativeError(values(graph, outputOf(graph, "loss")), [want])).toBeLessThan(1e-6);
});

it.each(["kl", "logits"])("has the gradients of its central differences (%s)", async (soft) => {
  const graph = graphOf(
    both
      .replace("const %s :", "const %s0 :")
      .replace("%logits = identity %s :", "const %w : f64[5, 4] = random(7, -1, 1)\n%1 = matmul %fs, %w : f64[2, 4]\n%logits = add %s0, %1 :"),
  );
  await runPasses(graph, `distill-loss {teacher="t", temperature=3, soft="${soft}", hidden=[{student="hs", teacher="ht"}]}`);
  // The projection is drawn in f32: in f64 differences tell more.
  const names = ["w", "fs", "hs"];
  const gradients = await gradientsOf(graph, names, given);
  for (const name of names) {
    const got = toNumbers(gradients.get(name) as Tensor);
    expect(
      relativeError(
        got,
        got.map((_, i) => difference(graph, name, i, given)),
      ),
    ).toBeLessThan(1e-6);
  }
});

const student = `
  in %image : f32[N, 3]
  const %w : f32[3, 4] = random(1, -1, 1)
  %logits = matmul %image, %w : f32[N, 4]
  out %logits`;
const teacher = `
  in %x : f32[batch, 3]
  const %w : f32[3, 8] = random(2, -1, 1)
  const %scale : f32[8] = random(3, 0.5, 1)
  const %shift : f32[8] = random(4, -1, 1)
  const %mean : f32[8] = random(5, -1, 1)
  const %var : f32[8] = random(6, 0.5, 1)
  const %v : f32[8, 4] = random(7, -1, 1)
  %flat = relu %x : f32[batch, 3]
  %h = gemm %flat, %w : f32[batch, 8]
  %normed = batch_normalization %h, %scale, %shift, %mean, %var : f32[batch, 8]
  %act = relu %normed : f32[batch, 8]
  %scores = matmul %act, %v : f32[batch, 4]
  %y = softmax %scores : f32[batch, 4]
  out %y
`;
const nothing = { executor: null, calibration: null, signal: null };

it("the teacher is folded, reads the student's input, keeps its values, and is not trained", async () => {
  const [graph, large] = [graphOf(student), graphOf(teacher)];
  const x = fromNumbers("f32", [2, 3], [0.5, -1, 2, 0.25, 1, -0.5]);
  const before = evaluate(large, new Map([["x", x]]));
  const [logits, act] = [toNumbers(before(large.value("scores") as Value)), toNumbers(before(large.value("act") as Value))];
  await prepareTeacher(large, graph, { output: undefined, hidden: ["act"], precision: "f32" }, nothing);
  expect(large.opsOf("batch_normalization", "softmax")).toEqual([]);
  const of = joinTeacher(graph, large, "teacher.");
  const at = evaluate(graph, new Map([["image", x]]));
  expect(relativeError(toNumbers(at(of.get("logits") as Value)), logits)).toBeLessThan(1e-5);
  expect(relativeError(toNumbers(at(of.get("hidden.0") as Value)), act)).toBeLessThan(1e-5);
  await runPasses(graph, `distill-loss {teacher="${of.get("logits")?.name}"}, autodiff {frozen=["teacher.*"]}, apply-optimizer`);
  expect(statesOf(graph).map((s) => s.input)).toEqual(["w", "w.velocity"]);
});

it("frozen batch normalization keeps its statistics where the rest is trained", async () => {
  const graph = graphOf(teacher);
  await runPasses(graph, 'add-loss, autodiff {batch_norm="batch", frozen=["scale", "shift", "mean", "var"]}');
  expect(graph.opsOf("batch_normalization")).toHaveLength(1);
  expect(graph.outputs.map((o) => o.name).filter((n) => n.startsWith("grad."))).toEqual(["grad.w", "grad.v"]);
});

it("names of the teacher never meet the student's", () => {
  expect(freePrefix(graphOf(student), "teacher")).toBe("teacher.");
  expect(freePrefix(graphOf(student.replaceAll("%w", "%teacher.w")), "teacher")).toBe("_teacher.");
});

it("says what does not fit", async () => {
  const prepare = (text: string, o: object = {}): Promise<void> =>
    prepareTeacher(graphOf(text), graphOf(student), { output: undefined, hidden: [], precision: "f32", ...o }, nothing);
  await expect(prepare(teacher, { output: "nope" })).rejects.toThrow(/CEC4030: the teacher has no output "nope"/);
  await expect(prepare(teacher, { hidden: ["nope"] })).rejects.toThrow(/CEC4030: the teacher has no tensor or op "nope"/);
  await expect(prepare(teacher.replace("in %x : f32[batch, 3]", "in %x : f32[batch, 3]\n  in %z : f32[1]"))).rejects.toThrow(/CEC4030: input "z"/);
  await expect(prepare("in %x : f32[batch, 5]\n %y = relu %x : f32[batch, 5]\n out %y")).rejects.toThrow(
    /CEC4030: input "x" of the teacher takes what the student does not \(the teacher takes x \[batch, 5\], the student image \[N, 3\]\)/,
  );
  const fails = async (line: string, message: RegExp): Promise<void> => expect(runPasses(graphOf(both), line)).rejects.toThrow(message);
  await fails('distill-loss {teacher="fs"}', /CEC4030: the teacher's output is \[2, 5\], the student's \[2, 4\]/);
  await fails('distill-loss {teacher="t", hidden=[{student="hs", teacher="ft"}]}', /CEC4030: hidden tensors do not fit: %hs is \[2, 2, 3, 1\]/);
  await fails('distill {teacher="x.onnx", data="d"}', /CEC4016: `distill` was called without a teacher/);
  const models = { load: async () => graphOf(teacher) };
  const call = (await import("../../../../passes/index.js")).findPass("distill");
  await expect(
    runPipeline(graphOf(student), [{ pass: call as never, options: { teacher: "x.onnx", data: "d", teacher_precision: "int8" } }], { models }),
  ).rejects.toThrow(/CEC4006: a teacher in INT8 needs calibration data/);
});
