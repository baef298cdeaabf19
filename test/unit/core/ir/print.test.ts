import { expect, it } from "vitest";
import {
  blobOf,
  blobStore,
  blobsOf,
  buildGraph,
  f32,
  Graph,
  i64,
  memoryBlob,
  parseGraph,
  parseType,
  printGraph,
  tensor,
  tensorType,
  UNKNOWN,
  zeros,
} from "../../../../compiler/core/index.js";
import { plain } from "./plain.js";

const again = (g: Graph): Graph => parseGraph(printGraph(g), { blobs: blobStore(blobsOf(g)) });

it("writes the form that the house style draws", () => {
  const g = buildGraph("lenet", (b) => {
    const x = b.input("image", "f32", ["N", 1, 28, 28]);
    const w = b.constant(
      "conv1.w",
      f32(
        [8, 1, 3, 3],
        Array.from({ length: 72 }, (_, i) => (i - 36) / 64),
      ),
    );
    const y = b.op("conv", [x, w], { strides: [2, 2], pads: [1, 1, 1, 1] }, { name: "conv1", outputNames: ["1"] }).outputs[0]!;
    b.output("2", b.op("relu", [y], {}, { name: "relu1", outputNames: ["2"] }).outputs[0]!);
  });
  g.pipeline = ["import", "infer-shapes"];
  const text = printGraph(g);
  expect(text.replace(/sha256:[0-9a-f]{64}/, "sha256:H")).toBe(`cir 1
// pipeline: import,infer-shapes
graph @lenet level=float {
  in    %image   : f32[N, 1, 28, 28]
  const %conv1.w : f32[8, 1, 3, 3]  = blob sha256:H   // min=-0.563 max=0.547
  %1 = conv %image, %conv1.w {pads=[1,1,1,1], strides=[2,2]} : f32[N, 8, 14, 14]   @"conv1"
  %2 = relu %1 : f32[N, 8, 14, 14]   @"relu1"
  out   %2
}
`);
});

it("gives the same text whatever the order in which attributes and annotations were set", () => {
  const make = (attrs: Record<string, number>, quant: Record<string, number>): Graph => {
    const g = new Graph("g");
    const x = g.addInput("x", tensorType("f32", [1]));
    g.addOp({ kind: "custom", inputs: [x], attrs, types: [UNKNOWN], annotations: { quant } });
    return g;
  };
  expect(printGraph(make({ a: 1, b: 2 }, { s: 1, z: 2 }))).toBe(printGraph(make({ b: 2, a: 1 }, { z: 2, s: 1 })));
});

it("keeps names that would break the line", () => {
  const g = new Graph('a "graph"\n');
  const odd = ["a b", "x//y", "/Conv_1/out", "onnx::Conv_3", "%", "é", 'q"', "7", "-1", "tail/", "new\nline", "__proto__"];
  for (const name of odd) g.addInput(name, tensorType("f32", ["batch size", "?", "3", "N+1", 3]));
  g.addOutput("the output", g.inputs[2]!);
  expect(plain(again(g))).toEqual(plain(g));
});

it("keeps every bit of a constant: signed zeros, infinities, NaN payloads, 64-bit integers", () => {
  const g = new Graph("g");
  const add = (name: string, elem: Parameters<typeof tensorType>[0], dims: number[], bytes: Uint8Array): void => {
    g.addConstant(name, tensorType(elem, dims), memoryBlob(bytes));
  };
  add("zeros", "f32", [2], new Uint8Array(new Float32Array([0, -0]).buffer));
  add("special", "f32", [3], new Uint8Array(new Float32Array([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]).buffer));
  add("payload", "f32", [1], new Uint8Array(new Uint32Array([0x7fc12345]).buffer));
  add("tiny", "f32", [3], new Uint8Array(new Float32Array([1e-45, 3.4028234663852886e38, 0.1]).buffer));
  add("long", "i64", [2], new Uint8Array(new BigInt64Array([-(2n ** 63n), 2n ** 63n - 1n]).buffer));
  add("unsigned", "u64", [1], new Uint8Array(new BigUint64Array([2n ** 64n - 1n]).buffer));
  add("nibbles", "i4", [3], new Uint8Array([0x8f, 0x07]));
  add("half", "f16", [2], new Uint8Array(new Uint16Array([0x3c01, 0xfc00]).buffer));
  add("fp8", "f8e4m3fn", [2], new Uint8Array([0x7e, 0x81]));
  add("flags", "bool", [2], new Uint8Array([1, 0]));
  add("empty", "f32", [0, 3], new Uint8Array(0));
  g.addConstant("words", tensorType("string", [2]), blobOf(tensor("string", [2], ["a,b", 'c"]\n'])));
  const text = printGraph(g);
  expect(text).toContain("dense [0, -0]");
  expect(text).toContain("dense [inf, -inf, nan]");
  expect(text).toContain("dense [-9223372036854775808, 9223372036854775807]");
  expect(plain(again(g))).toEqual(plain(g));
});

it("names large constants by hash and never writes their bytes", () => {
  const g = buildGraph("g", (b) => b.output("w", b.constant("w", zeros("f32", [1000]))));
  expect(printGraph(g).length).toBeLessThan(300);
  expect(printGraph(g)).toMatch(/blob sha256:[0-9a-f]{64} {3}\/\/ min=0 max=0/);
  expect(printGraph(g, { inline: 1000 })).toContain("dense [0, 0,");
});

it("keeps what export needs: opsets, properties in their order, functions, doc strings", () => {
  const g = new Graph("g");
  g.meta = {
    producer: "pytorch",
    modelVersion: 3,
    irVersion: 8,
    opsets: { "": 17, "com.microsoft": 1 },
    properties: { z: "1", a: "2\n3" },
    functions: [memoryBlob(new Uint8Array([1, 2, 3]))],
    graphDoc: "doc // no comment",
  };
  g.addInput("x", tensorType("f32", []), "what x is");
  expect(plain(again(g))).toEqual(plain(g));
});

it("keeps regions, absent operands, locations, known contents and quantized types", () => {
  const body = new Graph("then");
  const inner = body.addInput("c", tensorType("f32", [2]));
  body.addOutput("r", body.addOp({ kind: "relu", inputs: [inner], types: [tensorType("f32", [2])] }).outputs[0]!);
  const g = new Graph("g");
  g.level = "quantized";
  const c = g.addInput("cond", tensorType("bool", []));
  const x = g.addInput("x", parseType("u8[2] q(scale=[0.1, 0.25], zp=[3, 128], axis=0)"));
  const op = g.addOp({
    kind: "if",
    inputs: [c, null, x],
    types: [tensorType("f32", null), { kind: "opaque", proto: "CgQIAQ==" }],
    regions: [body, body.clone()],
    name: "choose",
    loc: { file: 'a "b".cplan', line: 3, column: 9 },
    annotations: { quant: { fixed: [1, null, "x", { deep: true }] } },
    doc: "why",
  });
  op.outputs[0]!.content = ["N", -1, 64, Number(2n ** 63n - 1n)];
  g.addOp({ kind: "in", inputs: [], types: [] });
  g.addOutput("y", op.outputs[0]!);
  g.constants();
  expect(plain(again(g))).toEqual(plain(g));
});

it("prints shapes of small integer constants as values", () => {
  const g = buildGraph("g", (b) => b.output("s", b.constant("s", i64([0, -1, 64]))));
  expect(printGraph(g)).toContain("const %s : i64[3]  = dense [0, -1, 64]");
});
