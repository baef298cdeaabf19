/** The passes of training: what they make of a graph, and what they refuse. */
import { expect, it } from "vitest";
import { fromNumbers, type PassDefinition, parsePasses, printGraph, runPipeline, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { passes, sampleDropout, statesOf, withoutMasks } from "../../../../passes/index.js";
import { graphOf, runPasses } from "../support.js";
import { evaluate, outputOf, relativeError } from "./gradient-check.js";

const model = `
  in %x : f32[N, 3]
  const %w : f32[3, 4] = random(1, -1, 1)
  const %b : f32[4] = random(2, -1, 1)
  %1 = gemm %x, %w, %b : f32[N, 4]
  %y = softmax %1 : f32[N, 4]
  out %y`;
const x = fromNumbers("f32", [2, 3], [0.5, -1, 2, 0.25, 1, -0.5]);
const labels = fromNumbers("i64", [2], [3, 1]);
const scalar = (v: number): Tensor => fromNumbers("f32", [], [v]);

it("cross-entropy looks through a softmax, smooths labels, and counts what is right", async () => {
  const graph = graphOf(model);
  await runPasses(graph, "add-loss {label_smoothing=0.1}");
  const at = evaluate(
    graph,
    new Map([
      ["x", x],
      ["labels", labels],
    ]),
  );
  const logits = toNumbers(at(graph.opsOf("gemm")[0]?.outputs[0] as never));
  let [loss, right] = [0, 0];
  for (const [row, label] of [3, 1].entries()) {
    const v = [...logits.slice(row * 4, row * 4 + 4)];
    const log = v.map((e) => e - Math.log(v.reduce((s, q) => s + Math.exp(q), 0)));
    loss -= log.reduce((s, l, c) => s + l * (0.025 + (c === label ? 0.9 : 0)), 0) / 2;
    if (v.indexOf(Math.max(...v)) === label) right++;
  }
  expect(relativeError(toNumbers(at(outputOf(graph, "loss"))), [loss])).toBeLessThan(1e-6);
  expect(toNumbers(at(outputOf(graph, "correct")))[0]).toBe(right);
});

it("the optimizer makes parameters state, clips by the norm of all gradients, and other passes take the graph", async () => {
  const graph = graphOf(model);
  await runPasses(graph, "add-loss, autodiff");
  const gradients = new Map<string, Float64Array>();
  const at = evaluate(
    graph,
    new Map([
      ["x", x],
      ["labels", labels],
    ]),
  );
  for (const p of ["w", "b"]) gradients.set(p, toNumbers(at(outputOf(graph, `grad.${p}`))));
  const norm = Math.sqrt([...gradients.values()].flatMap((g) => [...g]).reduce((s, v) => s + v * v, 0));
  const [w, b] = ["w", "b"].map((p) => toNumbers(at(graph.value(p) as never))) as [Float64Array, Float64Array];
  await runPasses(graph, 'apply-optimizer {kind="sgd", momentum=0.5, weight_decay=0.1, decay="matrices", clip_norm=0.1}, canonicalize');
  expect(statesOf(graph).map((s) => s.input)).toEqual(["w", "w.velocity", "b", "b.velocity"]);
  const zero = (n: number, dims: number[]): Tensor => fromNumbers("f32", dims, new Array(n).fill(1));
  const fed = new Map<string, Tensor>([
    ["x", x],
    ["labels", labels],
    ["w", fromNumbers("f32", [3, 4], w)],
    ["b", fromNumbers("f32", [4], b)],
    ["w.velocity", zero(12, [3, 4])],
    ["b.velocity", zero(4, [4])],
    ["learning_rate", scalar(0.2)],
  ]);
  const after = evaluate(graph, fed);
  expect(relativeError(toNumbers(after(outputOf(graph, "gradient_norm"))), [norm])).toBeLessThan(1e-6);
  for (const [p, old, decay] of [
    ["w", w, 0.1],
    ["b", b, 0],
  ] as const) {
    const want = old.map((v, i) => v - 0.2 * (0.5 + ((gradients.get(p)?.[i] as number) * 0.1) / norm + decay * v));
    expect(relativeError(toNumbers(after(outputOf(graph, `${p}.next`))), want)).toBeLessThan(1e-5);
  }
  // A gradient that is no number changes nothing.
  const poisoned = evaluate(graph, new Map([...fed, ["x", fromNumbers("f32", [2, 3], [Number.NaN, 0, 0, 0, 0, 0])]]));
  expect(toNumbers(poisoned(outputOf(graph, "w.next")))).toEqual(toNumbers(fed.get("w") as Tensor));
});

it("batch normalization by the batch updates its running statistics, and takes the relu behind it", async () => {
  const graph = graphOf(`
    in %x : f32[N, 2, 3, 3]
    const %k : f32[2, 2, 3, 3] = random(1, -1, 1)
    const %one : f32[2] = splat(1)
    const %zero : f32[2] = splat(0)
    %1 = conv %x, %k {pads=[1,1,1,1]} : f32[N, 2, 3, 3]
    %2 = batch_normalization %1, %one, %zero, %zero, %one : f32[N, 2, 3, 3] @"bn"
    %3 = relu %2 : f32[N, 2, 3, 3]
    %loss = reduce_mean %3 {keepdims=0} : f32[]
    out %loss`);
  await runPasses(graph, 'autodiff {batch_norm="batch"}');
  const given = new Map([
    [
      "x",
      fromNumbers(
        "f32",
        [2, 2, 3, 3],
        Array.from({ length: 36 }, (_, i) => Math.sin(i)),
      ),
    ],
  ]);
  const before = evaluate(graph, given);
  const fused = graph.clone();
  await runPasses(fused, "fuse-batch-norm-relu");
  expect(fused.opsOf("relu", "train.relu_backward")).toEqual([]);
  const after = evaluate(fused, given);
  expect(graph.outputs.map((o) => o.name)).toEqual(["loss", "bn.mean.next", "bn.var.next", "grad.k", "grad.bn.scale", "grad.bn.bias"]);
  for (const o of graph.outputs)
    expect(relativeError(toNumbers(after(outputOf(fused, o.name))), toNumbers(before(o.value))), o.name).toBeLessThan(1e-5);
  expect(printGraph(fused)).toContain("train.batch_norm");
});

it("vectors that were merged come apart again", async () => {
  const graph = graphOf(`
    in %x : f32[N, 2]
    const %v : f32[2] = splat(1)
    %1 = mul %x, %v : f32[N, 2] @"a"
    %2 = add %1, %v : f32[N, 2] @"b"
    out %2`);
  await runPasses(graph, "untie-vectors");
  expect(graph.constants()).toHaveLength(2);
  await runPasses(graph, "untie-vectors");
  expect(graph.constants()).toHaveLength(2);
});

it("what cannot be trained is refused with its cause", async () => {
  const fails = async (body: string, line: string, what: RegExp): Promise<void> => {
    await expect(runPasses(graphOf(body), line)).rejects.toThrow(what);
  };
  await fails(model, "autodiff", /CEC4015: the graph has no output "loss"/);
  await fails(model, 'autodiff {loss="y"}', /CEC4015: the loss "y" must be a single number/);
  await fails(model, 'add-loss {of="z"}', /CEC4015: the graph has no output "z"/);
  await fails(model, 'add-loss, autodiff {parameters=["nothing*"]}', /CEC4014: no float constant of the graph is named `nothing\*`/);
  await fails(model, "add-loss, apply-optimizer", /CEC4014: the graph holds no gradients/);
  await fails("in %x : f32[2]\n%l = reduce_sum %x {keepdims=0} : f32[]\nout %l", 'autodiff {loss="l"}', /CEC4014: no parameter reaches the loss/);
  await fails(
    "const %w : f32[2, 3] = random(1)\n%1 = reduce_prod %w {keepdims=0} : f32[]\nout %1",
    'autodiff {loss="1", parameters=["w"]}',
    /CEC4013: reduce_prod .* has no gradient here/,
  );
  await fails(model, 'train {data="shapes.train"}', /CEC4016/);
  expect(parsePasses("train").map((p) => passes.has(p.name))).toEqual([true]);
});

it("a loss is added once", async () => {
  await expect(runPasses(graphOf(model), "add-loss, add-loss")).rejects.toThrow(/CEC4015: the graph has an output "loss" already/);
});

it("masks of dropout drop their part, scale the rest, and are drawn anew at each step, op and seed", async () => {
  const n = 40_000;
  const masks = async (seed: number): Promise<boolean[][]> => {
    const graph = graphOf(`
      in %x : f32[${n}]
      const %r : f32[] = splat(0.3)
      %a = dropout %x, %r @"a"
      %b = dropout %x, %r @"b"
      out %a
      out %b`);
    await runPipeline(graph, [{ pass: sampleDropout as unknown as PassDefinition, options: {} }], { seed });
    return [1, 2, 3].flatMap((step) => {
      const ones = fromNumbers("f32", [n], new Array(n).fill(1));
      const at = evaluate(
        graph,
        new Map([
          ["x", ones],
          ["step", fromNumbers("f32", [], [step])],
        ]),
      );
      return graph.outputs.map((o) => {
        const y = [...toNumbers(at(o.value))];
        expect(new Set(y)).toEqual(new Set([0, Math.fround(1 / 0.7)]));
        return y.map((v) => v === 0);
      });
    });
  };
  const all = [...(await masks(1)), ...(await masks(2))];
  const share = (m: readonly boolean[]): number => m.filter(Boolean).length / n;
  // Five standard deviations of what independent draws would give.
  const near = (p: number): number => 5 * Math.sqrt((p * (1 - p)) / n);
  for (const [i, a] of all.entries()) {
    expect(Math.abs(share(a) - 0.3)).toBeLessThan(near(0.3));
    for (const shift of [1, 2, 16, 1024]) expect(Math.abs(share(a.map((v, k) => v && a[(k + shift) % n] === true)) - 0.09)).toBeLessThan(near(0.09));
    for (const b of all.slice(i + 1)) expect(Math.abs(share(a.map((v, k) => v && b[k] === true)) - 0.09)).toBeLessThan(near(0.09));
  }
});

it("trains biases and scales of a single channel, and leaves single numbers of formulas alone", async () => {
  const graph = graphOf(`
    in %x : f32[N, 1, 4, 4]
    const %w : f32[1, 1, 1, 1] = random(1, -1, 1)
    const %b : f32[1] = random(2, -1, 1)
    const %scale : f32[1] = random(3, 1, 2)
    const %shift : f32[1] = random(4, -1, 1)
    const %mean : f32[1] = splat(0)
    const %var : f32[1] = splat(1)
    const %half : f32[1] = splat(0.5)
    const %m : f32[16, 1] = random(5, -1, 1)
    const %added : f32[1] = random(6, -1, 1)
    const %one : f32[1] = splat(1)
    %1 = conv %x, %w, %b : f32[N, 1, 4, 4]
    %2 = batch_normalization %1, %scale, %shift, %mean, %var : f32[N, 1, 4, 4]
    %3 = mul %2, %half : f32[N, 1, 4, 4]
    %4 = flatten %3 : f32[N, 16]
    %5 = matmul %4, %m : f32[N, 1]
    %6 = add %5, %added : f32[N, 1]
    %7 = tanh %6 : f32[N, 1]
    %8 = add %7, %one : f32[N, 1]
    out %8`);
  await runPasses(graph, 'add-loss {kind="mse"}, autodiff');
  const trained = graph.outputs.flatMap((o) => (o.name.startsWith("grad.") ? [o.name.slice("grad.".length)] : []));
  expect(trained.sort()).toEqual(["added", "b", "m", "scale", "shift", "w"]);
});

it("dropout that cannot drop is left, with its reason", async () => {
  const graph = graphOf(`
    in %x : f32[4]
    in %r : f32[]
    const %nan : f32[] = splat(nan)
    const %all : f32[] = splat(1)
    %a = dropout %x, %r @"computed"
    %b = dropout %x, %nan @"nan"
    %c = dropout %x, %all @"all"
    %d, %mask = dropout %x @"mask"
    out %a
    out %b
    out %c
    out %d
    out %mask`);
  await runPasses(graph, "sample-dropout");
  expect(withoutMasks(graph).map(({ op, why }) => [op.name, why])).toEqual([
    ["computed", "its ratio is computed"],
    ["nan", "its ratio is NaN"],
    ["all", "its ratio is 1"],
    ["mask", "its mask is read"],
  ]);
});
