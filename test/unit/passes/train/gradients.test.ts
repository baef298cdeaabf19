/** Each gradient rule against central differences of the reference evaluation. */
import { expect, it } from "vitest";
import { fromNumbers, opKinds, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { differentiable } from "../../../../passes/index.js";
import { gradientOf } from "../../../../passes/train/gradients/index.js";
import { graphOf, runPasses } from "../support.js";
import { cases } from "./cases.js";
import { difference, evaluate, gradientsOf, lossGraph, outputOf, relativeError } from "./gradient-check.js";

/** Rules that are not the derivative of what the op computes, on purpose; checked by closed forms below. */
const estimators = ["train.fake_quantize"];

let [worst64, worst32] = [0, 0];

cases.forEach((c, i) => {
  it(`${c.name ?? `${c.kind}, ${JSON.stringify(c.attrs)}`} (${i}): gradients are the slopes of the loss`, async () => {
    const wide = lossGraph(c, "f64");
    const gradients = await gradientsOf(wide.graph, wide.parameters);
    const narrow = c.attrs?.["to"] === "f64" ? null : lossGraph(c, "f32");
    const single = narrow === null ? null : await gradientsOf(narrow.graph, narrow.parameters);
    for (const p of wide.parameters) {
      const gradient = toNumbers(gradients.get(p) as Tensor);
      const slopes = gradient.map((_, k) => difference(wide.graph, p, k));
      const error = relativeError(gradient, slopes);
      worst64 = Math.max(worst64, error);
      expect(error, `${p} in f64`).toBeLessThan(1e-6);
      if (single === null) continue;
      const rounded = relativeError(toNumbers(single.get(p) as Tensor), gradient);
      worst32 = Math.max(worst32, rounded);
      expect(rounded, `${p} in f32`).toBeLessThan(1e-4);
    }
  });
});

it("every kind with a rule has a case, and the worst errors are what the guide says", () => {
  const covered = new Set([...cases.map((c) => c.kind), ...estimators]);
  expect(differentiable.filter((kind) => !covered.has(kind))).toEqual([]);
  process.stdout.write(
    `gradient checks: ${differentiable.length} rules, ${cases.length} cases, worst relative error ${worst64.toExponential(1)} in f64, ${worst32.toExponential(1)} in f32\n`,
  );
});

it("kinds without a rule say why", () => {
  for (const kind of opKinds) {
    const g = gradientOf(kind);
    if (!("rule" in g)) expect(("none" in g ? g.none : g.unsupported).length, kind).toBeGreaterThan(10);
  }
});

it("a value that several ops read gets the sum of its gradients, with the batch open", async () => {
  const graph = graphOf(`
    in %x : f64[N, 3]
    const %w : f64[3, 3] = random(3, -1, 1)
    const %b : f64[3] = random(4, -1, 1)
    %1 = matmul %x, %w : f64[N, 3]
    %2 = add %1, %b : f64[N, 3]
    %3 = tanh %2 : f64[N, 3]
    %4 = matmul %3, %w : f64[N, 3]
    %5 = mul %4, %3 : f64[N, 3]
    %6 = add %5, %b : f64[N, 3]
    %loss = reduce_mean %6 {keepdims=0} : f64[]
    out %loss`);
  const feed = new Map([["x", fromNumbers("f64", [2, 3], [0.3, -1, 0.5, 2, 0.1, -0.4])]]);
  const gradients = await gradientsOf(graph, ["w", "b"], feed);
  for (const p of ["w", "b"]) {
    const gradient = toNumbers(gradients.get(p) as Tensor);
    expect(
      relativeError(
        gradient,
        gradient.map((_, k) => difference(graph, p, k, feed)),
      ),
    ).toBeLessThan(1e-6);
  }
});

for (const [kind, gates] of [
  ["lstm", 4],
  ["gru", 3],
  ["rnn", 1],
] as const) {
  for (const [name, attrs] of [
    ["forward", {}],
    ["reverse", { direction: "reverse" }],
    ["bidirectional", { direction: "bidirectional", linear_before_reset: kind === "gru" ? 1 : undefined }],
    ["batch first", { layout: 1 }],
  ] as const) {
    it(`${kind}, ${name}: unrolled it gives the same values, and gradients through time are the slopes`, async () => {
      const d = name === "bidirectional" ? 2 : 1;
      const text = Object.entries(attrs).flatMap(([k, v]) => (v === undefined ? [] : [`${k}=${JSON.stringify(v)}`]));
      const input = name === "batch first" ? "2, 3, 2" : "3, 2, 2";
      const y = name === "batch first" ? `2, 3, ${d}, 2` : `3, ${d}, 2, 2`;
      const s = name === "batch first" ? `2, ${d}, 2` : `${d}, 2, 2`;
      const graph = graphOf(`
        const %x : f64[${input}] = random(1, -1, 1)
        const %w : f64[${d}, ${gates * 2}, 2] = random(2, -1, 1)
        const %r : f64[${d}, ${gates * 2}, 2] = random(3, -1, 1)
        const %b : f64[${d}, ${gates * 4}] = random(4, -1, 1)
        const %h : f64[${s}] = random(5, -1, 1)
        const %c : f64[${y}] = random(6, -1, 1)
        %y, %yh = ${kind} %x, %w, %r, %b, _, %h {${["hidden_size=2", ...text].join(", ")}} : f64[${y}], f64[${s}]
        %1 = mul %y, %c : f64[${y}]
        %2 = reduce_sum %1 {keepdims=0} : f64[]
        %3 = reduce_sum_square %yh {keepdims=0} : f64[]
        %loss = add %2, %3 : f64[]
        out %loss`);
      const unrolled = graph.clone();
      await runPasses(unrolled, "unroll-recurrent");
      expect(unrolled.opsOf(kind)).toEqual([]);
      expect(
        relativeError(toNumbers(evaluate(unrolled)(outputOf(unrolled, "loss"))), toNumbers(evaluate(graph)(outputOf(graph, "loss")))),
      ).toBeLessThan(1e-12);
      const gradients = await gradientsOf(graph, ["x", "w", "r", "b", "h"], undefined, "unroll-recurrent, ");
      for (const [p, tensor] of gradients) {
        const gradient = toNumbers(tensor);
        expect(
          relativeError(
            gradient,
            gradient.map((_, k) => difference(graph, p, k)),
          ),
          p,
        ).toBeLessThan(1e-6);
      }
    });
  }
}

it("fake quantization passes gradients straight through inside its range, and gives LSQ's for the scale", async () => {
  const graph = graphOf(`
    const %p0 : f64[2, 3] = dense [0.26, -0.9, 3, -7, 0.1, 0.5]
    const %p1 : f64[2] = dense [0.25, 0.5]
    const %zp : f64[2] = dense [0, 1]
    %1 = train.fake_quantize %p0, %p1, %zp {q_min=-4, q_max=3, axis=0, lsq_gradient_scale=0.5} : f64[2, 3]
    const %w : f64[2, 3] = dense [1, 2, 3, 4, 5, 6]
    %2 = mul %1, %w : f64[2, 3]
    %loss = reduce_sum %2 {keepdims=0} : f64[]
    out %loss`);
  const gradients = await gradientsOf(graph, ["p0", "p1"]);
  expect([...toNumbers(gradients.get("p0") as Tensor)]).toEqual([1, 2, 0, 0, 5, 6]);
  // Row 0: x/s = 1.04, -3.6, 12 (beyond 3); row 1, zero point 1: -14 (below -5), 0.2, 1.
  const want = [0.5 * (1 * (1 - 1.04) + 2 * (-4 - -3.6) + 3 * 3), 0.5 * (4 * -5 + 5 * (0 - 0.2) + 6 * (1 - 1))];
  expect(relativeError(toNumbers(gradients.get("p1") as Tensor), want)).toBeLessThan(1e-12);
});
