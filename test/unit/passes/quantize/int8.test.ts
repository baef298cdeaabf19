import { expect, it } from "vitest";
import {
  CecError,
  constantTensor,
  type Feeds,
  f32,
  fromNumbers,
  type Graph,
  type Op,
  type Tensor,
  toNumbers,
  type Value,
} from "../../../../compiler/core/index.js";
import { evaluateGraph, graphOf, observingExecutor, randomFeeds, runPasses, samplesOf } from "../support.js";

async function quantized(graph: Graph, options = "", feeds?: readonly Feeds[]) {
  const samples = feeds ?? [1, 2, 3].map((s) => randomFeeds(graph, s) as Feeds);
  return runPasses(graph, `quantize {range: "minmax"${options === "" ? "" : `, ${options}`}}`, {
    executor: observingExecutor,
    calibration: samplesOf(...samples),
  });
}

/** Scale, zero point and type of the pair behind or before a value. */
function pair(v: Value | null | undefined): { scale: number[]; zero: number[]; type: string; axis: unknown; data: Tensor | null } {
  const dq = v?.producer as Op;
  expect(dq?.kind).toBe("dequantize_linear");
  const t = dq.inputs[0]?.type;
  return {
    scale: [...toNumbers(constantTensor(dq.inputs[1]) as Tensor)],
    zero: [...toNumbers(constantTensor(dq.inputs[2]) as Tensor)],
    type: t?.kind === "tensor" ? t.elem : "",
    axis: dq.attrs["axis"],
    data: constantTensor(dq.inputs[0]),
  };
}
const opNamed = (g: Graph, name: string): Op => g.ops.find((op) => op.name === name) as Op;
const decided = (r: Awaited<ReturnType<typeof quantized>>, op: string): string =>
  r.decisions
    .filter((d) => d.op === op)
    .map((d) => `${d.action}: ${d.reason}`)
    .join(" | ");
async function rejected(run: Promise<unknown>): Promise<CecError> {
  try {
    await run;
  } catch (e) {
    if (e instanceof CecError) return e;
    throw e;
  }
  throw new Error("nothing was rejected");
}

/** Each weighted op: its text, the shape of its weights, and the output channel of each weight, written out by hand. */
const weighted: readonly (readonly [string, string, readonly number[], number, (index: readonly number[]) => number])[] = [
  ["conv", 'in %x : f32[2, 4, 6, 6]\nconst %w : f32[3, 4, 3, 3] = random(1)\n%y = conv %x, %w @"op"\n', [3, 4, 3, 3], 0, (i) => i[0] as number],
  [
    "conv in groups",
    'in %x : f32[2, 4, 6, 6]\nconst %w : f32[6, 2, 3, 3] = random(1)\n%y = conv %x, %w {group=2} @"op"\n',
    [6, 2, 3, 3],
    0,
    (i) => i[0] as number,
  ],
  ["conv of one axis", 'in %x : f32[2, 4, 9]\nconst %w : f32[3, 4, 3] = random(1)\n%y = conv %x, %w @"op"\n', [3, 4, 3], 0, (i) => i[0] as number],
  ["gemm", 'in %x : f32[2, 4]\nconst %w : f32[4, 3] = random(1)\n%y = gemm %x, %w @"op"\n', [4, 3], 1, (i) => i[1] as number],
  ["gemm transposed", 'in %x : f32[2, 4]\nconst %w : f32[3, 4] = random(1)\n%y = gemm %x, %w {transB=1} @"op"\n', [3, 4], 0, (i) => i[0] as number],
  ["matmul", 'in %x : f32[2, 5, 4]\nconst %w : f32[4, 3] = random(1)\n%y = matmul %x, %w @"op"\n', [4, 3], 1, (i) => i[1] as number],
  [
    "conv_transpose",
    'in %x : f32[2, 4, 3, 3]\nconst %w : f32[4, 3, 2, 2] = random(1)\n%y = conv_transpose %x, %w @"op"\n',
    [4, 3, 2, 2],
    1,
    (i) => i[1] as number,
  ],
];

for (const [name, text, dims, axis, channel] of weighted) {
  it(`${name}: one scale per output channel, on the right axis`, async () => {
    const g = graphOf(`${text}out %y`);
    const source = toNumbers(constantTensor(opNamed(g, "op").inputs[1]) as Tensor);
    await quantized(g);
    const w = pair(opNamed(g, "op").inputs[1]);
    const strides = dims.map((_, k) => dims.slice(k + 1).reduce((a, b) => a * b, 1));
    const top = new Array<number>(dims[axis] as number).fill(0);
    source.forEach((v, i) => {
      const c = channel(dims.map((d, k) => Math.floor(i / (strides[k] as number)) % d));
      top[c] = Math.max(top[c] as number, Math.abs(v));
    });
    expect(w).toMatchObject({ type: "i8", axis, scale: top.map((t) => Math.fround(t / 127)), zero: top.map(() => 0) });
    expect(w.data?.dims).toEqual(dims);
  });
  it(`${name}: one scale per tensor where the plan says so`, async () => {
    const g = graphOf(`${text}out %y`);
    await quantized(g, 'weights: "per_tensor"');
    expect(pair(opNamed(g, "op").inputs[1])).toMatchObject({ axis: undefined, zero: [0] });
  });
}

it("a transposed convolution in groups has one scale", async () => {
  const g = graphOf('in %x : f32[1, 4, 3, 3]\nconst %w : f32[4, 3, 2, 2] = random(1)\n%y = conv_transpose %x, %w {group=2} @"op"\nout %y');
  const r = await quantized(g);
  expect(pair(opNamed(g, "op").inputs[1]).scale).toHaveLength(1);
  expect(decided(r, "op")).toContain("weights only: weights i8; no CPU target");
});

it("a transposed convolution runs on INT8 for TensorRT", async () => {
  const g = graphOf('in %x : f32[1, 4, 3, 3]\nconst %w : f32[4, 3, 2, 2] = random(1)\n%y = conv_transpose %x, %w @"op"\nout %y');
  await quantized(g, 'profile: "tensorrt"');
  expect(pair(opNamed(g, "op").inputs[0])).toMatchObject({ type: "i8", zero: [0] });
});

const twoConvs = `in %x : f32[1, 2, 5, 5]
const %w : f32[3, 2, 3, 3] = random(1)
const %b : f32[3] = dense [0.5, -1, 2]
const %v : f32[2, 3, 1, 1] = random(2)
%c = conv %x, %w, %b {activation="relu"} @"c1"
%d = conv %c, %v @"c2"
out %d`;

it("the quantized graph equals a closed form: integers multiplied, summed, rescaled", async () => {
  const g = graphOf(twoConvs);
  const source = g.clone();
  await quantized(g);
  const feeds = randomFeeds(source, 11) as Feeds;
  const c1 = opNamed(g, "c1");
  const [x, w, b] = [pair(c1.inputs[0]), pair(c1.inputs[1]), pair(c1.inputs[2])];
  const y = pair(opNamed(g, "c2").inputs[0]);
  const wq = toNumbers(w.data as Tensor);
  const bq = toNumbers(b.data as Tensor);
  const input = toNumbers(feeds["x"] as Tensor);
  const xq = Array.from(
    input,
    (v) => Math.min(255, Math.max(0, Math.round(v / (x.scale[0] as number)) + (x.zero[0] as number))) - (x.zero[0] as number),
  );
  const stored = opNamed(g, "c2").inputs[0]?.producer?.inputs[0] as Value;
  const got = toNumbers((await evaluateGraph(g, feeds, [stored.name]))[stored.name] as Tensor);
  let worst = 0;
  for (let o = 0; o < 3; o++)
    for (let i = 0; i < 3; i++)
      for (let j = 0; j < 3; j++) {
        let sum = bq[o] as number;
        for (let k = 0; k < 2; k++)
          for (let p = 0; p < 3; p++)
            for (let q = 0; q < 3; q++) sum += (xq[k * 25 + (i + p) * 5 + j + q] as number) * (wq[((o * 2 + k) * 3 + p) * 3 + q] as number);
        const real = Math.max(0, sum * (x.scale[0] as number) * (w.scale[o] as number));
        const q = Math.min(255, Math.max(0, Math.round(real / (y.scale[0] as number)) + (y.zero[0] as number)));
        worst = Math.max(worst, Math.abs(q - (got[(o * 3 + i) * 3 + j] as number)));
      }
  // The reference sums dequantized floats: a sum that ends on a half may round the other way.
  expect(worst).toBeLessThanOrEqual(1);
  const steps = b.scale.map((s, c) => s / ((x.scale[0] as number) * (w.scale[c] as number)));
  for (const s of steps) expect(s).toBeCloseTo(1, 6);
});

it("a bias that would overflow widens its channel's weight scale, and only that", async () => {
  const g = graphOf(`in %x : f32[1, 2]
const %w : f32[2, 3] = dense [0.00000001, 1, 0.5, 0.00000002, -1, 0.25]
const %b : f32[3] = dense [1000, 1, 2]
%y = gemm %x, %w, %b @"fc"
out %y`);
  const r = await quantized(g);
  const fc = opNamed(g, "fc");
  const [x, w, b] = [pair(fc.inputs[0]), pair(fc.inputs[1]), pair(fc.inputs[2])];
  expect(decided(r, "fc")).toContain("widened weight scale");
  expect(w.scale[1]).toBe(Math.fround(1 / 127));
  expect(Math.abs(toNumbers(b.data as Tensor)[0] as number)).toBeLessThanOrEqual(2 ** 30 + 1);
  expect((toNumbers(b.data as Tensor)[0] as number) * (x.scale[0] as number) * (w.scale[0] as number)).toBeCloseTo(1000, 1);
});

it.each([
  ["concat", 'const %v : f32[1, 4, 1, 1] = random(2)\n%c = sigmoid %x @"s"\n%m = concat %x, %c {axis=1} @"m"', ["x", "c", "m"]],
  ["max_pool", 'const %v : f32[1, 2, 1, 1] = random(2)\n%m = max_pool %x {kernel_shape=[2,2]} @"m"', ["x", "m"]],
  ["reshape", 'const %v : f32[1, 4, 1, 1] = random(2)\nconst %t : i64[4] = dense [1, 4, 4, 2]\n%m = reshape %x, %t @"m"', ["x", "m"]],
  [
    "resize",
    'const %v : f32[1, 2, 1, 1] = random(2)\nconst %t : f32[4] = dense [1, 1, 2, 2]\n%m = resize %x, _, %t {mode="nearest"} @"m"',
    ["x", "m"],
  ],
  ["pad", 'const %v : f32[1, 2, 1, 1] = random(2)\nconst %t : i64[8] = dense [0, 0, 1, 1, 0, 0, 1, 1]\n%m = pad %x, %t @"m"', ["x", "m"]],
] as const)("values around %s share one range", async (_, text, names) => {
  const g = graphOf(`in %x : f32[1, 2, 4, 4]\n${text}\n%d = conv %m, %v @"d"\nout %d`);
  await quantized(g);
  const parameters = names.map((n) => {
    const q = g.users(g.value(n) as Value).find((u) => u.kind === "quantize_linear") as Op;
    return [constantTensor(q.inputs[1]), constantTensor(q.inputs[2])].map((t) => [...toNumbers(t as Tensor)].join());
  });
  expect(new Set(parameters.map((p) => p.join())).size).toBe(1);
});

it("an override for any value of a shared range sets the range", async () => {
  const text =
    'in %x : f32[1, 2, 4, 4]\nconst %v : f32[1, 2, 1, 1] = random(2)\n%m = max_pool %x {kernel_shape=[2,2]} @"m"\n%d = conv %m, %v @"d"\nout %d';
  const g = graphOf(text);
  await quantized(g, 'overrides: {m: {activations: "symmetric"}}');
  expect(pair(opNamed(g, "d").inputs[0])).toMatchObject({ type: "i8", zero: [0] });
  expect(pair(opNamed(g, "m").inputs[0])).toMatchObject({ type: "i8", zero: [0] });
});

it("overrides and keep go by name or pattern", async () => {
  const g = graphOf(twoConvs);
  await quantized(g, 'overrides: {"c?": {weights: "per_tensor"}, c: {activations: "symmetric"}}');
  expect(pair(opNamed(g, "c1").inputs[1]).axis).toBeUndefined();
  expect(pair(opNamed(g, "c2").inputs[1]).axis).toBeUndefined();
  expect(pair(opNamed(g, "c2").inputs[0])).toMatchObject({ type: "i8", zero: [0] });
  const h = graphOf(twoConvs);
  const r = await quantized(h, 'keep: ["c2"]');
  expect(decided(r, "c2")).toBe("float: the plan keeps it in float");
  expect(opNamed(h, "c2").inputs[1]?.producer?.kind).toBe("constant");
  const k = graphOf(twoConvs);
  await quantized(k, 'keep: ["c*"]');
  expect(k.opsOf("quantize_linear")).toHaveLength(0);
});

it("a pattern that matches nothing is a warning", async () => {
  const r = await quantized(graphOf(twoConvs), 'keep: ["fc"]');
  expect(r.warnings.map((w) => w.code)).toEqual(["CEC4011"]);
});

it("asymmetric_relu: u8 from zero where values are never negative, symmetric i8 elsewhere", async () => {
  const g = graphOf(twoConvs);
  await quantized(g, 'activations: "asymmetric_relu"');
  expect(pair(opNamed(g, "c1").inputs[0])).toMatchObject({ type: "i8", zero: [0] });
  expect(pair(opNamed(g, "c2").inputs[0])).toMatchObject({ type: "u8", zero: [0] });
});

const residual = `in %x : f32[1, 2, 4, 4]
const %w : f32[2, 2, 1, 1] = random(1)
const %b : f32[2] = random(3)
const %v : f32[2, 2, 1, 1] = random(2)
%c = conv %x, %w, %b @"c1"
%a = add %c, %x {activation="relu"} @"a"
%d = conv %a, %v @"c2"
out %d`;

it("tensorrt: symmetric, float biases, the other operand of a residual add quantized and the convolution's own result not", async () => {
  const g = graphOf(residual);
  await quantized(g, 'profile: "tensorrt"');
  expect(opNamed(g, "c1").inputs[2]?.producer?.kind).toBe("constant");
  const add = opNamed(g, "a");
  expect(add.inputs[0]?.producer?.kind).toBe("conv");
  expect(pair(add.inputs[1])).toMatchObject({ type: "i8", zero: [0] });
  for (const q of g.opsOf("quantize_linear")) expect([...toNumbers(constantTensor(q.inputs[2]) as Tensor)]).toEqual([0]);
});

it("cpu: both operands of a residual add are quantized", async () => {
  const g = graphOf(residual);
  await quantized(g);
  expect(opNamed(g, "a").inputs.map((v) => v?.producer?.kind)).toEqual(["dequantize_linear", "dequantize_linear"]);
  expect(opNamed(g, "c1").inputs[2]?.producer?.kind).toBe("dequantize_linear");
});

it("a convolution that ends the model has its result quantized too", async () => {
  const g = graphOf(twoConvs);
  await quantized(g);
  expect(g.outputs[0]?.value.producer?.kind).toBe("dequantize_linear");
});

it("rows of a constant table keep the table's parameters", async () => {
  const g = graphOf(`in %i : i64[3]
const %t : f32[5, 4] = random(1)
const %w : f32[4, 2] = random(2)
%e = gather %t, %i {axis=0} @"e"
%y = matmul %e, %w @"y"
out %y`);
  await quantized(g);
  const [table, rows] = [pair(opNamed(g, "e").inputs[0]), pair(opNamed(g, "y").inputs[0])];
  expect(rows).toMatchObject({ scale: table.scale, zero: table.zero, type: table.type });
  const source = graphOf(`const %t : f32[5, 4] = random(1)\nout %t`);
  const v = toNumbers(constantTensor(source.outputs[0]?.value) as Tensor);
  expect(table.scale[0]).toBeCloseTo((Math.max(...v, 0) - Math.min(...v, 0)) / 255, 6);
});

it.each([
  ["its weights hold NaN or infinity", 'const %w : f32[2, 2] = dense [1, nan, 2, 3]\n%y = matmul %x, %w @"op"'],
  ["its weights hold NaN or infinity", 'const %w : f32[2, 2] = dense [1, -inf, 2, 3]\n%y = matmul %x, %w @"op"'],
  ["its bias holds NaN or infinity", 'const %w : f32[2, 2] = random(1)\nconst %b : f32[2] = dense [inf, 0]\n%y = gemm %x, %w, %b @"op"'],
  ["its bias is no vector", 'const %w : f32[2, 2] = random(1)\nconst %b : f32[1] = dense [1]\n%y = gemm %x, %w, %b @"op"'],
  ["its weights are empty", 'const %w : f32[2, 0] = dense []\n%y = matmul %x, %w @"op"'],
  ["its second operand is computed", '%w = transpose %x {perm=[1,0]} @"t"\n%y = matmul %x, %w @"op"'],
  ["its first operand is transposed", 'const %w : f32[1, 2] = random(1)\n%y = gemm %x, %w {transA=1} @"op"'],
  ["it scales its operands", 'const %w : f32[2, 2] = random(1)\n%y = gemm %x, %w {alpha=2} @"op"'],
  ["its weights are no matrix", 'const %w : f32[3, 2, 2] = random(1)\n%y = matmul %x, %w @"op"'],
  ["no INT8 op reads its result", '%y = relu %x @"op"'],
  ["it is sensitive to its range", '%y = softmax %x @"op"'],
])("stays in float: %s", async (reason, text) => {
  const g = graphOf(`in %x : f32[1, 2]\n${text}\nout %y`);
  expect(decided(await quantized(g), "op")).toContain(`float: ${reason}`);
  expect(g.opsOf("quantize_linear", "dequantize_linear")).toHaveLength(0);
});

it("padding with another value than zero stays in float", async () => {
  const g = graphOf(`in %x : f32[1, 1, 2, 2]
const %t : i64[8] = dense [0, 0, 1, 1, 0, 0, 1, 1]
const %five : f32[] = dense [5]
const %v : f32[1, 1, 1, 1] = dense [1]
%m = pad %x, %t, %five @"m"
%d = conv %m, %v @"d"
out %d`);
  expect(decided(await quantized(g), "m")).toContain("its padding value may lie outside the range");
});

it("a fused residual stays in float and says what to do", async () => {
  const g = graphOf('in %x : f32[1, 1, 2, 2]\nconst %v : f32[1, 1, 1, 1] = dense [1]\n%d = conv %x, %v, _, %x @"d"\nout %d');
  expect(decided(await quantized(g), "d")).toContain("`fuse` without `residual` keeps the add apart");
});

const one = 'in %x : f32[N, 2]\nconst %w : f32[2, 2] = random(1)\n%y = matmul %x, %w @"op"\nout %y';

it.each([
  ["all zero", [0, 0], 1],
  ["one value", [3, 3], Math.fround(3 / 255)],
  ["one negative value", [-3, -3], Math.fround(3 / 255)],
])("a constant activation (%s) gets a scale that is a positive number", async (_, values, scale) => {
  const g = graphOf(one);
  await quantized(g, "", [{ x: f32([1, 2], values) }]);
  expect(pair(opNamed(g, "op").inputs[0]).scale).toEqual([scale]);
});

it.each([
  ["NaN", Number.NaN],
  ["infinity", Number.POSITIVE_INFINITY],
])("%s in an activation is rejected, and the tensor is named", async (_, bad) => {
  const e = await rejected(quantized(graphOf(one), "", [{ x: f32([1, 2], [1, bad]) }]));
  expect(e.diagnostics[0]).toMatchObject({ code: "CEC4007" });
  expect(e.message).toContain('"x"');
});

it("calibration without samples is rejected", async () => {
  const none = runPasses(graphOf(one), "quantize", { executor: observingExecutor, calibration: samplesOf() });
  expect((await rejected(none)).diagnostics[0]?.code).toBe("CEC4006");
  const empty = quantized(graphOf(one), "", [{ x: fromNumbers("f32", [0, 2], []) }]);
  expect((await rejected(empty)).diagnostics[0]?.code).toBe("CEC4006");
});

it("no calibration at all is rejected with the two ways out", async () => {
  const e = await rejected(runPasses(graphOf(one), "quantize"));
  expect(e.diagnostics[0]?.code).toBe("CEC4006");
  expect(e.diagnostics[0]?.help).toContain("quantize dynamic");
});

it("all four range methods quantize the same ops", async () => {
  for (const method of ["minmax", "percentile", "entropy", "mse"]) {
    const h = graphOf(twoConvs);
    await runPasses(h, `quantize {range: "${method}"}`, { executor: observingExecutor, calibration: samplesOf(randomFeeds(h, 1) as Feeds) });
    expect(h.opsOf("quantize_linear")).toHaveLength(3);
  }
});
