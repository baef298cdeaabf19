import { expect, it } from "vitest";
import {
  buildGraph,
  f32,
  Graph,
  memoryBlob,
  parseGraph,
  printGraph,
  type QuantParams,
  tensorType,
  verifyGraph,
} from "../../../../compiler/core/index.js";

const messages = (g: Graph): string[] => verifyGraph(g).map((d) => `${d.message}${d.why === undefined ? "" : ` (${d.why})`}`);
const parse = (body: string, level = "float"): Graph => parseGraph(`cir 1\ngraph @g level=${level} {\n${body}\n}`, { wildcards: true });

const sound = (): Graph =>
  buildGraph("g", (b) => {
    const x = b.input("x", "f32[N, 3, 8, 8]");
    const w = b.constant("w", f32([4, 3, 1, 1], new Array(12).fill(0.5)));
    b.output("y", b.value("relu", [b.value("conv", [x, w], {}, "c")], {}, "r"));
  });

it("finds nothing in a sound graph and changes nothing", () => {
  const g = sound();
  // Less is recorded than inference knows: that is no fault, and the verifier must not fill it in.
  g.value("r")!.type = tensorType("f32", null);
  const before = printGraph(g);
  expect(messages(g)).toEqual([]);
  expect(printGraph(g)).toBe(before);
});

it.each([
  ["in %x : f32[1]\n %y = blur %x : f32[1]\n out %y", /blur "y": the kind is not declared/],
  ["in %x : f32[1]\n %y = relu : f32[1]\n out %y", /relu "y": 0 operands, 1 are allowed/],
  ["in %x : f32[1]\n %y = relu %x, %x : f32[1]\n out %y", /2 operands/],
  ["in %x : f32[1]\n %y = add %x, _ : f32[1]\n out %y", /operand 1 is absent/],
  ["in %x : f32[1]\n %y = relu %x {slope=1} : f32[1]\n out %y", /attributes: .*slope/],
  ['in %x : f32[1, 1, 1, 1]\n const %w : f32[1, 1, 1, 1] = splat(0)\n %y = conv %x, %w {group="2"} : unknown\n out %y', /attributes: group/],
  ["in %x : f32[2, 3]\n %y = relu %x : f32[2, 4]\n out %y", /types: .*dimension 1 is 3 by inference and 4/],
  ["in %x : f32[2, 3]\n %y = relu %x : f32[2]\n out %y", /rank 2 was inferred, rank 1/],
  ["in %x : f32[2, 3]\n %y = relu %x : i8[2, 3]\n out %y", /%y is recorded as i8\[2, 3\], its elements are f32/],
  ["in %x : f32[2, 3]\n in %z : f32[5, 4]\n %y = matmul %x, %z : unknown\n out %y", /types: /],
  ["in %x : f32[1]\n out %x\n out %x", /two outputs are named "x"/],
  ["in %x : f32[1]\n %y = relu %x : f32[1] ann {quant: {a: 1}}\n out %y", /quantization specs in a graph of level float/],
  ["const %c : f32[1] = any\n out %c", /has no data/],
])("rejects %j", (body, message) => {
  expect(messages(parse(body)).join("\n")).toMatch(message);
});

it("takes quantization specs at level annotated, and native kinds at level lowered only", () => {
  expect(messages(parse("in %x : f32[1]\n %y = relu %x : f32[1] ann {quant: {a: 1}}\n out %y", "annotated"))).toEqual([]);
  const native = "in %x : f32[1, 4, 4, 2]\n %y = cpu.global_max_pool %x : unknown\n out %y";
  expect(messages(parse(native)).join()).toMatch(/native engine in a graph of level float/);
  expect(messages(parse(native, "lowered")).join()).not.toMatch(/native engine/);
});

const quantized = (elem: "u8" | "i8" | "f32", quant: QuantParams): Graph => {
  const g = new Graph("g");
  g.level = "quantized";
  g.addOutput("x", g.addInput("x", { kind: "tensor", elem, shape: [2, 3], quant }));
  return g;
};

it.each([
  [quantized("u8", { scale: [0], zeroPoint: [0], axis: null }), /scale 0/],
  [quantized("u8", { scale: [Number.NaN], zeroPoint: [0], axis: null }), /scale NaN/],
  [quantized("u8", { scale: [Number.POSITIVE_INFINITY], zeroPoint: [0], axis: null }), /scale Infinity/],
  [quantized("u8", { scale: [-1], zeroPoint: [0], axis: null }), /scale -1/],
  [quantized("u8", { scale: [1], zeroPoint: [-1], axis: null }), /zero point -1, which is no value of u8/],
  [quantized("i8", { scale: [1], zeroPoint: [128], axis: null }), /zero point 128/],
  [quantized("i8", { scale: [1], zeroPoint: [0.5], axis: null }), /zero point 0.5/],
  [quantized("i8", { scale: [1, 1], zeroPoint: [0], axis: 0 }), /2 scales and 1 zero points/],
  [quantized("i8", { scale: [1, 1], zeroPoint: [0, 0], axis: null }), /2 scales but no axis/],
  [quantized("i8", { scale: [1, 1], zeroPoint: [0, 0], axis: 1 }), /2 scales for 3 slices/],
  [quantized("i8", { scale: [1, 1], zeroPoint: [0, 0], axis: 2 }), /axis 2 of rank 2/],
  [quantized("f32", { scale: [1], zeroPoint: [0], axis: null }), /f32 with quantization parameters/],
])("rejects quantization parameters that no integer tensor has (%#)", (g, message) => {
  expect(messages(g).join("\n")).toMatch(message);
});

it("accepts per-axis parameters that fit", () => {
  expect(messages(quantized("i8", { scale: [1, 2, 3], zeroPoint: [-128, 0, 127], axis: 1 }))).toEqual([]);
});

it("finds values that are used before they are made, or made elsewhere", () => {
  const g = sound();
  const relu = g.opsOf("relu")[0]!;
  g.moveBefore(relu, g.opsOf("conv")[0]!);
  expect(messages(g).join()).toMatch(/%c is used before it is made \(ops stand in topological order\)/);
  const h = sound();
  h.setInput(h.opsOf("relu")[0]!, 0, sound().value("c")!);
  expect(messages(h).join()).toMatch(/nothing in this graph makes it/);
});

it("finds a constant whose bytes are not as many as its type takes", () => {
  const g = new Graph("g");
  g.addOutput("c", g.addConstant("c", tensorType("f32", [3]), memoryBlob(new Uint8Array(11))));
  expect(messages(g)).toEqual(['constant "c": holds 11 bytes, f32[3] takes 12']);
});

it("looks into regions, at the level of the outer graph", () => {
  const text = `in %c : bool[]\n in %x : f32[1]\n %y = if %c, %x, %x {captures=2, then_captures=1} : f32[1] regions {
    graph @t level=float { in %p : f32[1]\n %q = blur %p : f32[1]\n out %q }
    graph @e level=float { in %p : f32[1]\n out %p }
  }\n out %y`;
  expect(messages(parse(text)).join()).toMatch(/blur "q": the kind is not declared/);
});

it("stops at a number of faults that one can read", () => {
  const body = Array.from({ length: 100 }, (_, i) => `%y${i} = blur`).join("\n");
  expect(messages(parse(body))).toHaveLength(20);
});
