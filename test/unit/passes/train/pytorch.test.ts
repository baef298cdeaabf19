/**
 * Gradients of whole networks beside PyTorch's: by the reference evaluation in f64, and by the engine in f32. Needs a Python with torch and numpy, named by
 * CEC_TORCH_PYTHON; skipped, visibly, without.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import {
  constantTensor,
  type ElementType,
  fromNumbers,
  type Graph,
  type GraphBuilder,
  graphBuilder,
  randomFrom,
  type Tensor,
  tensor,
  toNumbers,
  type Value,
} from "../../../../compiler/core/index.js";
import { decodeNpy, encodeNpy } from "../../../../compiler/driver/data/npy.js";
import { nativeExecutor } from "../../../../compiler/driver/engine/native.js";
import { nativeIsBuilt } from "../../../../runtime-native/ts/index.js";
import { runPasses } from "../support.js";
import { evaluate, outputOf, relativeError } from "./gradient-check.js";

const python = process.env["CEC_TORCH_PYTHON"];

interface Net {
  readonly graph: Graph;
  readonly parameters: readonly string[];
  readonly feeds: ReadonlyMap<string, Tensor>;
}

/** Parameters drawn once, exact in f32, so that both element types hold the same numbers. */
function net(elem: ElementType, build: (b: GraphBuilder, p: (name: string, ...dims: number[]) => Value) => void, feeds: Net["feeds"]): Net {
  const b = graphBuilder("net");
  const random = randomFrom(11);
  const parameters: string[] = [];
  build(b, (name, ...dims) => {
    const n = dims.reduce((x, y) => x * y, 1);
    parameters.push(name);
    const spread = Math.min(1, 2 / Math.sqrt(n / (dims[0] ?? 1)));
    const offset = name.endsWith(".scale") ? 1 : 0;
    return b.constant(
      name,
      fromNumbers(
        elem,
        dims,
        Array.from({ length: n }, () => Math.fround(offset + spread * (random() - 0.5))),
      ),
    );
  });
  return { graph: b.graph, parameters, feeds };
}

const values = (elem: ElementType, dims: number[], seed: number, high?: number): Tensor => {
  const random = randomFrom(seed);
  return fromNumbers(
    elem,
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => (high === undefined ? Math.fround(2 * random() - 1) : Math.floor(random() * high))),
  );
};

function resnet(elem: ElementType): Net {
  return net(
    elem,
    (b, p) => {
      const conv = (x: Value, name: string, to: number, from: number, stride: number, k = 3): Value =>
        b.value("conv", [x, p(`${name}.w`, to, from, k, k)], { pads: [1, 1, 1, 1].map((v) => (k === 3 ? v : 0)), strides: [stride, stride] });
      const bn = (x: Value, name: string, c: number): Value =>
        b.value("batch_normalization", [
          x,
          p(`${name}.scale`, c),
          p(`${name}.bias`, c),
          b.constant(`${name}.mean`, fromNumbers(elem, [c], new Array(c).fill(0))),
          b.constant(`${name}.var`, fromNumbers(elem, [c], new Array(c).fill(1))),
        ]);
      const relu = (x: Value): Value => b.value("relu", [x]);
      let y = relu(bn(conv(b.input("x", elem, ["N", 3, 12, 12]), "stem", 8, 3, 1), "stem", 8));
      let from = 8;
      for (const [i, stride] of [1, 2, 2].entries()) {
        const to = from * stride;
        const z = relu(bn(conv(y, `block${i}.a`, to, from, stride), `block${i}.a`, to));
        const short = stride === 1 ? y : conv(y, `block${i}.s`, to, from, stride, 1);
        y = relu(b.value("add", [bn(conv(z, `block${i}.b`, to, to, 1), `block${i}.b`, to), short]));
        from = to;
      }
      const pooled = b.value("flatten", [b.value("global_average_pool", [y])]);
      b.output("logits", b.value("gemm", [pooled, p("fc.w", 10, from), p("fc.b", 10)], { transB: 1 }));
    },
    new Map([
      ["x", values(elem, [4, 3, 12, 12], 1)],
      ["labels", values("i64", [4], 2, 10)],
    ]),
  );
}

function transformer(elem: ElementType): Net {
  const [d, heads, t, words] = [16, 4, 6, 12];
  return net(
    elem,
    (b, p) => {
      const ints = (...v: number[]): Value => b.constant("", tensor("i64", [v.length], v));
      const linear = (x: Value, name: string, from: number, to: number): Value =>
        b.value("add", [b.value("matmul", [x, p(`${name}.w`, from, to)]), p(`${name}.b`, to)]);
      const norm = (x: Value, name: string): Value => b.value("layer_normalization", [x, p(`${name}.scale`, d), p(`${name}.bias`, d)]);
      const embedding = p("embedding", words, d);
      let e = b.value("add", [b.value("gather", [embedding, b.input("x", "i64", ["N", t])]), p("position", t, d)]);
      const parts = b.op("split", [linear(norm(e, "ln1"), "qkv", d, 3 * d), ints(d, d, d)], { axis: -1 }, { outputs: 3 }).outputs;
      const [q, k, v] = parts.map((x) => b.value("transpose", [b.value("reshape", [x, ints(0, t, heads, d / heads)])], { perm: [0, 2, 1, 3] })) as [
        Value,
        Value,
        Value,
      ];
      const scores = b.value("div", [
        b.value("matmul", [q, b.value("transpose", [k], { perm: [0, 1, 3, 2] })]),
        b.constant("two", fromNumbers(elem, [], [2])),
      ]);
      const mixed = b.value("transpose", [b.value("matmul", [b.value("softmax", [scores]), v])], { perm: [0, 2, 1, 3] });
      e = b.value("add", [e, linear(b.value("reshape", [mixed, ints(0, t, d)]), "out", d, d)]);
      e = b.value("add", [e, linear(b.value("gelu", [linear(norm(e, "ln2"), "up", d, 4 * d)]), "down", 4 * d, d)]);
      b.output("logits", b.value("matmul", [e, b.value("transpose", [embedding], { perm: [1, 0] })]));
    },
    new Map([
      ["x", values("i64", [3, t], 1, words)],
      ["labels", values("i64", [3, t], 2, words)],
    ]),
  );
}

function lstm(elem: ElementType): Net {
  const [t, size, hidden] = [7, 4, 5];
  return net(
    elem,
    (b, p) => {
      const x = b.input("x", elem, [t, "N", size]);
      const op = b.op(
        "lstm",
        [x, p("w", 1, 4 * hidden, size), p("r", 1, 4 * hidden, hidden), p("b", 1, 8 * hidden)],
        { hidden_size: hidden },
        { outputs: 2 },
      );
      const last = b.value("squeeze", [op.outputs[1] as Value, b.constant("axis", tensor("i64", [1], [0]))]);
      b.output("logits", b.value("gemm", [last, p("fc.w", 6, hidden), p("fc.b", 6)], { transB: 1 }));
    },
    new Map([
      ["x", values(elem, [t, 3, size], 1)],
      ["labels", values("i64", [3], 2, 6)],
    ]),
  );
}

function torch(kind: string, n: Net): Map<string, Float64Array> {
  const folder = mkdtempSync(join(tmpdir(), "cec-torch-"));
  try {
    for (const [name, t] of n.feeds) writeFileSync(join(folder, `${name}.npy`), encodeNpy(t));
    for (const p of n.parameters) writeFileSync(join(folder, `param.${p}.npy`), encodeNpy(constantTensor(n.graph.value(p)) as Tensor));
    const { status, stderr } = spawnSync(python as string, [new URL("./pytorch.py", import.meta.url).pathname, folder, kind], { encoding: "utf8" });
    expect(stderr.replaceAll(/.*Warning.*\n?/g, ""), stderr).toBeDefined();
    expect(status, stderr).toBe(0);
    const read = (file: string): Float64Array => toNumbers(decodeNpy(readFileSync(join(folder, file)), file));
    return new Map([["loss", read("loss.npy")], ...n.parameters.map((p): [string, Float64Array] => [`grad.${p}`, read(`grad.${p}.npy`)])]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const passesOf = (kind: string): string =>
  `unroll-recurrent, add-loss {label_smoothing=${kind === "resnet" ? 0.1 : 0}}, autodiff {batch_norm="batch"}`;

for (const [kind, make] of Object.entries({ resnet, transformer, lstm })) {
  it.skipIf(python === undefined)(`${kind}: gradients are PyTorch's, by the reference in f64 and by the engine in f32`, async () => {
    const wide = make("f64");
    const want = torch(kind, wide);
    await runPasses(wide.graph, passesOf(kind));
    const at = evaluate(wide.graph, wide.feeds);
    for (const [name, values64] of want) expect(relativeError(toNumbers(at(outputOf(wide.graph, name))), values64), name).toBeLessThan(1e-9);
    if (!nativeIsBuilt()) return;
    const narrow = make("f32");
    await runPasses(narrow.graph, passesOf(kind));
    const session = await nativeExecutor({ threads: 2 }).prepare(narrow.graph);
    const got = await session.run(Object.fromEntries(narrow.feeds));
    for (const [name, values64] of want) expect(relativeError(toNumbers(got[name] as Tensor), values64), `${name} in the engine`).toBeLessThan(1e-3);
    session.dispose();
  });
}
