import { expect, it } from "vitest";
import { constantTensor, type Feeds, type Graph, type Op, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { evaluateGraph, graphOf, randomFeeds, runPasses } from "../support.js";

const opNamed = (g: Graph, name: string): Op => g.ops.find((op) => op.name === name) as Op;
const decisionsOf = (r: Awaited<ReturnType<typeof runPasses>>, op: string): string[] =>
  r.decisions.filter((d) => d.op === op).map((d) => `${d.action}: ${d.reason}`);

/** Signal to noise of the quantized graph's outputs, in decibel. */
async function sqnr(before: Graph, after: Graph, feeds: Feeds): Promise<number> {
  const [a, b] = [await evaluateGraph(before, feeds), await evaluateGraph(after, feeds)];
  let [signal, noise] = [0, 0];
  for (const name of Object.keys(a)) {
    const [x, y] = [toNumbers(a[name] as Tensor), toNumbers(b[name] as Tensor)];
    expect(y.length).toBe(x.length);
    x.forEach((v, i) => {
      signal += v * v;
      noise += (v - (y[i] as number)) ** 2;
    });
  }
  return 10 * Math.log10(signal / noise);
}

const products: readonly (readonly [string, string])[] = [
  ["matmul", 'in %x : f32[N, 5, 32]\nconst %w : f32[32, 16] = random(1)\n%y = matmul %x, %w @"op"'],
  ["gemm", 'in %x : f32[N, 32]\nconst %w : f32[32, 16] = random(1)\nconst %b : f32[16] = random(2)\n%y = gemm %x, %w, %b {activation="relu"} @"op"'],
  [
    "gemm transposed",
    'in %x : f32[N, 32]\nconst %w : f32[16, 32] = random(1)\nconst %b : f32[16] = random(2)\n%y = gemm %x, %w, %b {transB=1} @"op"',
  ],
  ["gemm with clip", 'in %x : f32[N, 32]\nconst %w : f32[32, 16] = random(1)\n%y = gemm %x, %w {activation="clip", clip_min=-1, clip_max=2} @"op"'],
];

for (const [name, text] of products) {
  for (const weights of ["per_channel", "per_tensor"]) {
    it(`dynamic: ${name} runs on integers, ${weights}`, async () => {
      const g = graphOf(`${text}\nout %y`);
      const before = g.clone();
      const r = await runPasses(g, `quantize {mode: "dynamic", weights: "${weights}"}`);
      expect(g.opsOf("matmul_integer")).toHaveLength(1);
      expect(g.opsOf("matmul", "gemm")).toHaveLength(0);
      expect(decisionsOf(r, "op")).toEqual(["dynamic int8: weights i8, the range of the activation is taken at run time"]);
      expect(await sqnr(before, g, randomFeeds(before, 3) as Feeds)).toBeGreaterThan(30);
    });
  }
  it(`weights: ${name} stays in float over stored weights`, async () => {
    const g = graphOf(`${text}\nout %y`);
    const before = g.clone();
    await runPasses(g, 'quantize {mode: "weights"}');
    expect(g.opsOf("matmul_integer", "dynamic_quantize_linear")).toHaveLength(0);
    expect(opNamed(g, "op").inputs[1]?.producer?.kind).toBe("dequantize_linear");
    expect(await sqnr(before, g, randomFeeds(before, 3) as Feeds)).toBeGreaterThan(35);
  });
}

const recurrent = (kind: string, gates: number): string => `in %x : f32[6, N, 8]
const %w : f32[1, ${gates * 12}, 8] = random(1)
const %r : f32[1, ${gates * 12}, 12] = random(2)
const %b : f32[1, ${gates * 24}] = random(3)
%y, %h${kind === "lstm" ? ", %c" : ""} = ${kind} %x, %w, %r, %b {hidden_size=12} @"op"
out %y`;

for (const [kind, gates] of [
  ["lstm", 4],
  ["gru", 3],
  ["rnn", 1],
] as const) {
  it(`${kind}: both weights are stored in 8 bits, one scale per gate row, and the log says so`, async () => {
    const g = graphOf(recurrent(kind, gates));
    const before = g.clone();
    const r = await runPasses(g, 'quantize {mode: "dynamic"}');
    const op = opNamed(g, "op");
    if (gates * 12 * 8 >= 256) {
      for (const i of [1, 2]) {
        const dq = op.inputs[i]?.producer as Op;
        expect(dq.kind).toBe("dequantize_linear");
        expect(constantTensor(dq.inputs[1])?.dims).toEqual([gates * 12]);
        expect(dq.attrs["axis"]).toBe(1);
      }
      expect(decisionsOf(r, "op")).toEqual(["weights only: weights i8; the recurrence runs in float"]);
      expect(await sqnr(before, g, randomFeeds(before, 3) as Feeds)).toBeGreaterThan(30);
    } else expect(decisionsOf(r, "op")).toEqual(["float: its weights have only 96 elements"]);
  });
}

it("an embedding table is stored in 8 bits, one scale per row", async () => {
  const g = graphOf('in %i : i64[4]\nconst %t : f32[40, 8] = random(1)\n%y = gather %t, %i {axis=0} @"op"\nout %y');
  const before = g.clone();
  const r = await runPasses(g, 'quantize {mode: "weights"}');
  const dq = opNamed(g, "op").inputs[0]?.producer as Op;
  expect(dq.attrs["axis"]).toBe(0);
  expect(decisionsOf(r, "op")).toEqual(["weights only: the table is stored in i8, rows are float when they are read"]);
  expect(await sqnr(before, g, randomFeeds(before, 3) as Feeds)).toBeGreaterThan(35);
});

it.each([
  ["conv", 'in %x : f32[1, 8, 6, 6]\nconst %w : f32[8, 4, 3, 3] = random(1)\n%y = conv %x, %w {group=2} @"op"', [8], 0],
  ["conv_transpose", 'in %x : f32[1, 8, 6, 6]\nconst %w : f32[8, 4, 3, 3] = random(1)\n%y = conv_transpose %x, %w @"op"', [4], 1],
  [
    "conv_transpose in groups",
    'in %x : f32[1, 8, 6, 6]\nconst %w : f32[8, 4, 3, 3] = random(1)\n%y = conv_transpose %x, %w {group=2} @"op"',
    [],
    undefined,
  ],
] as const)("%s: weights are stored along the axis of output channels", async (_, text, dims, axis) => {
  const g = graphOf(`${text}\nout %y`);
  const before = g.clone();
  const r = await runPasses(g, 'quantize {mode: "dynamic"}');
  const dq = opNamed(g, "op").inputs[1]?.producer as Op;
  expect(constantTensor(dq.inputs[1])?.dims).toEqual(dims);
  expect(dq.attrs["axis"]).toBe(axis);
  expect(decisionsOf(r, "op")[0]).toContain("the convolution runs in float, since its activations were not calibrated");
  expect(await sqnr(before, g, randomFeeds(before, 3) as Feeds)).toBeGreaterThan(30);
});

it.each([
  ["its second operand is no f32 constant", 'in %x : f32[16, 16]\n%y = matmul %x, %x @"op"'],
  ["its weights have only 4 elements", 'in %x : f32[1, 2]\nconst %w : f32[2, 2] = random(1)\n%y = matmul %x, %w @"op"'],
  ["its weights have only 0 elements", 'in %x : f32[1, 2]\nconst %w : f32[2, 0] = dense []\n%y = matmul %x, %w @"op"'],
  ["no rule stores the constants of add in 8 bits", 'in %x : f32[1, 300]\nconst %w : f32[300] = random(1)\n%y = add %x, %w @"op"'],
])("stays in float: %s", async (reason, text) => {
  const g = graphOf(`${text}\nout %y`);
  const before = g.clone();
  expect(decisionsOf(await runPasses(g, 'quantize {mode: "dynamic"}'), "op")).toEqual([`float: ${reason}`]);
  expect(g.ops.map((op) => op.kind)).toEqual(before.ops.map((op) => op.kind));
});

it("weights that are not finite stay in float", async () => {
  const g = graphOf(`in %x : f32[1, 2]\nconst %w : f32[2, 2] = dense [1, nan, 2, inf]\n%y = matmul %x, %w @"op"\nout %y`);
  const r = await runPasses(g, "quantize-dynamic {minElements: 1}");
  expect(decisionsOf(r, "op")).toEqual(["float: its weights hold NaN or infinity"]);
});

it("keep leaves ops in float", async () => {
  const g = graphOf(`${products[0]?.[1]}\nout %y`);
  const r = await runPasses(g, 'quantize {mode: "dynamic", keep: ["o?"]}');
  expect(decisionsOf(r, "op")).toEqual(["float: the plan keeps it in float"]);
});
