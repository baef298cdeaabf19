/**
 * Each QDQ pattern becomes integer ops, and the lowered graph gives what the QDQ graph gives. Both run by the reference evaluation. Three places differ in the
 * order of roundings, so a value on the edge between two quanta may fall to the other side (at most one quantum, in few elements):
 * products (QDQ adds dequantized floats, integer ops add integers and scale once), adds (two fused multiply-adds in quanta of the result) and averages.
 * Everything that only moves, clamps or looks up is equal to the byte.
 */
import { expect, it } from "vitest";
import { type Feeds, fromNumbers, type Graph, randomFrom, runPipeline, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { lowerPipeline } from "../../../../passes/index.js";
import { evaluateGraph, graphOf, runPasses } from "../support.js";

/** Common parameters: a (u8), b (u8 with other parameters), y (u8), i (i8). */
const parameters = `const %as : f32[] = dense [0.02]
const %az : u8[] = dense [100]
const %bs : f32[] = dense [0.031]
const %bz : u8[] = dense [17]
const %ys : f32[] = dense [0.047]
const %yz : u8[] = dense [120]
const %is : f32[] = dense [0.013]
const %iz : i8[] = dense [-5]
const %ws : f32[4] = dense [0.01, 0.02, 0.005, 0.013]
const %wz : i8[4] = dense [0, 0, 0, 0]
const %cb : i32[4] = dense [100, -2000, 30000, 7]
const %cs : f32[4] = dense [0.0002, 0.0004, 0.0001, 0.00026]
`;
const dq = (name: string, of: string, p: string): string => `%${name} = dequantize_linear %${of}, %${p}s, %${p}z\n`;
const q = (name: string, of: string, p: string): string => `%${name} = quantize_linear %${of}, %${p}s, %${p}z\n`;
const weights = (dims: string, axis: number): string =>
  `const %wq : i8[${dims}] = random(5, -127, 127)\n%w = dequantize_linear %wq, %ws, %wz {axis=${axis}}\n%bias = dequantize_linear %cb, %cs {axis=0}\n`;

interface Pattern {
  readonly name: string;
  readonly text: string;
  readonly inputs: Readonly<Record<string, readonly [type: "u8" | "i8", dims: readonly number[]]>>;
  /** Integer kinds that must appear. */
  readonly kinds: readonly string[];
  /** Greatest difference in quanta, and the share of elements that may have it. */
  readonly quanta: 0 | 1;
}

const image = [2, 4, 6, 6] as const;
const unary = (name: string, op: string, kinds: readonly string[], quanta: 0 | 1, out = "y", dims: readonly number[] = image): Pattern => ({
  name,
  text: `in %a : u8[${dims.join(", ")}]\n${dq("ad", "a", "a")}${op}\n${q("r", "f", out)}out %r`,
  inputs: { a: ["u8", dims] },
  kinds,
  quanta,
});

const patterns: readonly Pattern[] = [
  unary("conv with bias", `${weights("4, 4, 3, 3", 0)}%f = conv %ad, %w, %bias {pads=[1,1,1,1]} @"f"`, ["cpu.qconv"], 1),
  unary("conv with relu", `${weights("4, 4, 3, 3", 0)}%f = conv %ad, %w, %bias {strides=[2,2], activation="relu"} @"f"`, ["cpu.qconv"], 1),
  unary("conv with clip", `${weights("4, 4, 1, 1", 0)}%f = conv %ad, %w {activation="clip", clip_min=-1, clip_max=2.5} @"f"`, ["cpu.qconv"], 1),
  unary("conv in groups", `${weights("4, 2, 3, 3", 0)}%f = conv %ad, %w, %bias {group=2, dilations=[2,2]} @"f"`, ["cpu.qconv"], 1),
  unary("depthwise conv", `${weights("4, 1, 3, 3", 0)}%f = conv %ad, %w, %bias {group=4, auto_pad="SAME_UPPER"} @"f"`, ["cpu.qconv"], 1),
  unary("conv of one axis", `${weights("4, 4, 3", 0)}%f = conv %ad, %w, %bias {pads=[1,1]} @"f"`, ["cpu.qconv"], 1, "y", [2, 4, 9]),
  unary("conv into i8", `${weights("4, 4, 3, 3", 0)}%f = conv %ad, %w, %bias @"f"`, ["cpu.qconv"], 1, "i"),
  unary(
    "conv with a float bias",
    `${weights("4, 4, 1, 1", 0)}const %fb : f32[4] = dense [0.1, -2, 1, 0]\n%f = conv %ad, %w, %fb @"f"`,
    ["cpu.qconv"],
    1,
  ),
  unary("gemm", `${weights("8, 4", 1)}%f = gemm %ad, %w, %bias @"f"`, ["cpu.qgemm"], 1, "y", [3, 8]),
  unary("gemm transposed", `${weights("4, 8", 0)}%f = gemm %ad, %w, %bias {transB=1, activation="relu"} @"f"`, ["cpu.qgemm"], 1, "y", [3, 8]),
  unary("matmul of rank 3", `${weights("8, 4", 1)}%f = matmul %ad, %w @"f"`, ["cpu.qgemm"], 1, "y", [2, 3, 8]),
  unary("requantize", `%f = identity %ad @"f"`, ["cpu.requantize"], 0),
  unary("relu", `%f = relu %ad @"f"`, ["cpu.requantize"], 0),
  unary("clip", `const %lo : f32[] = dense [-0.5]\nconst %hi : f32[] = dense [1.2]\n%f = clip %ad, %lo, %hi @"f"`, ["cpu.requantize"], 0),
  unary("max_pool", `%f = max_pool %ad {kernel_shape=[2,2], strides=[2,2]} @"f"`, ["cpu.max_pool"], 0, "a"),
  unary("max_pool with other parameters", `%f = max_pool %ad {kernel_shape=[3,3], pads=[1,1,1,1]} @"f"`, ["cpu.max_pool", "cpu.requantize"], 0),
  unary("average_pool", `%f = average_pool %ad {kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1} @"f"`, ["cpu.average_pool"], 1),
  unary("global_average_pool", `%f = global_average_pool %ad @"f"`, ["cpu.global_average_pool"], 1),
  unary("global_max_pool", `%f = global_max_pool %ad @"f"`, ["cpu.global_max_pool"], 0, "a"),
  unary("sigmoid", `%f = sigmoid %ad @"f"`, ["cpu.lut"], 0, "b"),
  unary("leaky_relu", `%f = leaky_relu %ad {alpha=0.1} @"f"`, ["cpu.lut"], 0),
  unary("hard_swish", `%f = hard_swish %ad @"f"`, ["cpu.lut"], 0),
  unary("reshape", `const %t : i64[2] = dense [2, -1]\n%f = reshape %ad, %t @"f"`, ["reshape"], 0, "a"),
  unary("transpose with other parameters", `%f = transpose %ad {perm=[0,2,3,1]} @"f"`, ["transpose", "cpu.requantize"], 0),
  unary("pad", `const %p : i64[8] = dense [0, 0, 1, 1, 0, 0, 1, 1]\n%f = pad %ad, %p @"f"`, ["pad"], 0, "a"),
  unary("resize", `const %t : f32[4] = dense [1, 1, 2, 2]\n%f = resize %ad, _, %t {mode="nearest"} @"f"`, ["resize"], 0, "a"),
  ...(["add", "mul"] as const).map(
    (kind): Pattern => ({
      name: `${kind} of two parameters`,
      text: `in %a : u8[2, 4, 6, 6]\nin %b : u8[1, 4, 1, 1]\n${dq("ad", "a", "a")}${dq("bd", "b", "b")}%f = ${kind} %ad, %bd @"f"\n${q("r", "f", "y")}out %r`,
      inputs: { a: ["u8", image], b: ["u8", [1, 4, 1, 1]] },
      kinds: [kind === "add" ? "cpu.qadd" : "cpu.qmul"],
      quanta: 1,
    }),
  ),
  {
    name: "add with relu of symmetric operands",
    text: `in %a : i8[8, 16]\n${dq("ad", "a", "i")}%f = add %ad, %ad {activation="relu"} @"f"\n${q("r", "f", "i")}out %r`,
    inputs: { a: ["i8", [8, 16]] },
    kinds: ["cpu.qadd"],
    quanta: 1,
  },
  {
    name: "concat of two parameters",
    text: `in %a : u8[2, 4]\nin %b : u8[2, 3]\n${dq("ad", "a", "a")}${dq("bd", "b", "b")}%f = concat %ad, %bd {axis=1} @"f"\n${q("r", "f", "a")}out %r`,
    inputs: { a: ["u8", [2, 4]], b: ["u8", [2, 3]] },
    kinds: ["concat", "cpu.requantize"],
    quanta: 0,
  },
];

function feedsOf(p: Pattern, seed: number): Feeds {
  const random = randomFrom(seed);
  return Object.fromEntries(
    Object.entries(p.inputs).map(([name, [type, dims]]) => [
      name,
      fromNumbers(
        type,
        dims,
        Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => Math.floor(random() * 256) - (type === "i8" ? 128 : 0)),
      ),
    ]),
  );
}

const lowered = async (source: Graph): Promise<Graph> => {
  const g = source.clone();
  await runPipeline(g, lowerPipeline("quantized"), { verify: "each" });
  return g;
};

for (const p of patterns) {
  it(`${p.name}: ${p.kinds.join(" and ")}, ${p.quanta === 0 ? "equal to the byte" : "to within one quantum"}`, async () => {
    const before = graphOf(`${parameters}${p.text}`, "quantized");
    const after = await lowered(before);
    const kinds = new Set(after.ops.map((op) => op.kind));
    expect([...kinds]).toEqual(expect.arrayContaining([...p.kinds]));
    expect(after.opsOf("quantize_linear", "dequantize_linear")).toHaveLength(0);
    let [off, count] = [0, 0];
    for (const seed of [1, 2, 3]) {
      const feeds = feedsOf(p, seed);
      const [a, b] = [(await evaluateGraph(before, feeds))["r"] as Tensor, (await evaluateGraph(after, feeds))["r"] as Tensor];
      expect({ type: b.type, dims: b.dims }).toEqual({ type: a.type, dims: a.dims });
      const [x, y] = [toNumbers(a), toNumbers(b)];
      x.forEach((v, i) => {
        const d = Math.abs(v - (y[i] as number));
        expect(d).toBeLessThanOrEqual(p.quanta);
        if (d > 0) off++;
        count++;
      });
      // Saturated at both ends everywhere would hide faults.
      expect(new Set(x).size).toBeGreaterThan(4);
    }
    expect(off / count).toBeLessThan(0.02);
  });
}

it("a product whose result stays in float equals the dequantized sum", async () => {
  const before = graphOf(
    `${parameters}in %a : u8[3, 8]\n${dq("ad", "a", "a")}${weights("8, 4", 1)}%r = gemm %ad, %w, %bias {activation="relu"} @"f"\nout %r`,
    "quantized",
  );
  const after = await lowered(before);
  expect(after.ops.map((op) => op.kind)).toContain("cpu.qgemm");
  const feeds = feedsOf({ inputs: { a: ["u8", [3, 8]] } } as unknown as Pattern, 4);
  const [a, b] = [(await evaluateGraph(before, feeds))["r"] as Tensor, (await evaluateGraph(after, feeds))["r"] as Tensor];
  toNumbers(a).forEach((v, i) => expect(Math.abs(v - (toNumbers(b)[i] as number))).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(v))));
});

it.each([
  [
    "its weights are quantized along axis 1",
    `${dq("ad", "a", "a")}const %wq : i8[4, 4, 1, 1] = random(5, -127, 127)\n%w = dequantize_linear %wq, %ws, %wz {axis=1}\n%f = conv %ad, %w @"f"`,
  ],
  ["it has a residual operand", `${dq("ad", "a", "a")}${weights("4, 4, 1, 1", 0)}%f = conv %ad, %w, %bias, %ad @"f"`],
  ["its bias is computed", `${dq("ad", "a", "a")}${weights("4, 4, 1, 1", 0)}in %fb : f32[4]\n%f = conv %ad, %w, %fb @"f"`],
  [
    "its bias does not fit 32 bits",
    `${dq("ad", "a", "a")}${weights("4, 4, 1, 1", 0)}const %fb : f32[4] = dense [1e9, 0, 0, 0]\n%f = conv %ad, %w, %fb @"f"`,
  ],
  ["input and output have different types", `${dq("ad", "a", "a")}%f = global_average_pool %ad @"f"`],
])("stays in float between its pairs: %s", async (reason, text) => {
  const ins = text.match(/in %fb.*\n/)?.[0] ?? "";
  const g = graphOf(
    `in %a : u8[1, 4, 6, 6]\n${ins}${parameters}${text.replace(ins, "")}\n${q("r", "f", reason.startsWith("input") ? "i" : "y")}out %r`,
    "quantized",
  );
  const r = await runPasses(g, "lower-qdq");
  expect(r.decisions.filter((d) => d.op === "f").map((d) => d.reason)).toEqual([expect.stringContaining(reason)]);
  expect(g.ops.some((op) => op.name === "f" && !op.kind.startsWith("cpu."))).toBe(true);
});

it("a value that two ops read is quantized once and stays shared", async () => {
  const g = graphOf(
    `${parameters}in %a : u8[1, 4, 4, 4]\n${dq("ad", "a", "a")}%f = relu %ad @"f"\n${q("r", "f", "a")}${dq("rd", "r", "a")}%g = sigmoid %rd @"g"\n${q("s", "g", "b")}%h = max_pool %rd {kernel_shape=[2,2]} @"h"\n${q("t", "h", "a")}out %s\nout %t`,
    "quantized",
  );
  const before = g.clone();
  const after = await lowered(g);
  expect(after.opsOf("cpu.requantize")).toHaveLength(1);
  const feeds = feedsOf({ inputs: { a: ["u8", [1, 4, 4, 4]] } } as unknown as Pattern, 4);
  const [a, b] = [await evaluateGraph(before, feeds), await evaluateGraph(after, feeds)];
  for (const n of ["s", "t"]) expect([...toNumbers(b[n] as Tensor)]).toEqual([...toNumbers(a[n] as Tensor)]);
});
