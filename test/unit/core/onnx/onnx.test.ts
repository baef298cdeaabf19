import { mkdirSync, mkdtempSync, rmSync, statfsSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import {
  constantTensor,
  exportOnnx,
  type Graph,
  importOnnx,
  importOnnxFile,
  needsExternalData,
  opDefinition,
  runPipeline,
  toNumbers,
} from "../../../../compiler/core/index.js";
import { modelCodec } from "../../../../compiler/core/onnx/schema.js";
import { writeOnnx } from "../../../../compiler/driver/emit/onnx.js";
import { findPass } from "../../../../passes/index.js";
import { codeOf, floats, int, int64s, ints, model, node, value } from "./support.js";

const folder = mkdtempSync(join(tmpdir(), "cec-onnx-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const x = value("x", ["N", 3]);
const y = value("y", ["N", 3]);
const identity = { input: [x], output: [y], node: [node("Relu", ["x"], ["y"])] };
const canonical = async (g: Graph): Promise<Graph> => (await runPipeline(g, [{ pass: findPass("canonicalize") as never, options: {} }])).graph;

it("keeps metadata, doc strings, names and symbolic dimensions over a round trip", () => {
  const bytes = model(
    { ...identity, name: "net", doc_string: "a graph" },
    { producer_name: "maker", domain: "org.x", model_version: 7, doc_string: "a model", metadata_props: [{ key: "author", value: "me" }] },
  );
  const again = modelCodec.decode(exportOnnx(importOnnx(bytes)).bytes);
  expect(again).toMatchObject({ domain: "org.x", doc_string: "a model", metadata_props: [{ key: "author", value: "me" }] });
  expect(Number(again.model_version)).toBe(7);
  expect(again.graph).toMatchObject({ name: "net", doc_string: "a graph" });
  expect(again.graph?.input?.[0]?.name).toBe("x");
  expect(again.graph?.input?.[0]?.type?.tensor_type?.shape?.dim?.[0]?.dim_param).toBe("N");
  expect(again.graph?.output?.[0]?.name).toBe("y");
});

it("takes initializers that are also inputs, and Constant nodes, as constants", () => {
  const both = importOnnx(
    model(
      { input: [x, value("w", [3])], output: [y], initializer: [floats("w", [3], [1, 2, 3])], node: [node("Add", ["x", "w"], ["y"])] },
      { ir_version: 3 },
    ),
  );
  expect(both.inputs.map((v) => v.name)).toEqual(["x"]);
  const constant = importOnnx(
    model({
      input: [x],
      output: [y],
      node: [node("Constant", [], ["w"], { attribute: [{ name: "value", type: 4, t: floats("", [3], [1, 2, 3]) }] }), node("Add", ["x", "w"], ["y"])],
    }),
  );
  for (const g of [both, constant]) expect([...toNumbers(constantTensor(g.opsOf("add")[0]?.inputs[1])!)]).toEqual([1, 2, 3]);
});

it("folds a shape subgraph: Shape, Gather, Concat, Reshape", async () => {
  const g = importOnnx(
    model({
      input: [value("x", ["N", 3, 4])],
      output: [value("y", ["N", 12])],
      initializer: [int64s("zero", [0], []), int64s("minus", [-1]), int64s("axes", [0])],
      node: [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Unsqueeze", ["n", "axes"], ["n1"]),
        node("Concat", ["n1", "minus"], ["target"], { attribute: [int("axis", 0)] }),
        node("Reshape", ["x", "target"], ["y"]),
      ],
    }),
  );
  await canonical(g);
  expect(g.ops.filter((op) => op.kind !== "constant").map((op) => op.kind)).toEqual(["reshape"]);
});

it("carries control flow, local functions and operators of other domains unchanged", () => {
  const branch = (name: string, op: string) => ({
    name,
    node: [node(op, ["x"], [`${name}_y`])],
    input: [],
    output: [value(`${name}_y`, ["N", 3])],
    initializer: [],
  });
  const bytes = model(
    {
      input: [x, value("c", [], 9)],
      output: [value("z", ["N", 3])],
      node: [
        node("If", ["c"], ["y"], {
          attribute: [
            { name: "then_branch", type: 5, g: branch("t", "Relu") },
            { name: "else_branch", type: 5, g: branch("e", "Neg") },
          ],
        }),
        node("Twice", ["y"], ["w"], { domain: "local" }),
        node("Zorg", ["w"], ["z"], { domain: "my.dom", attribute: [int("k", 3)] }),
      ],
    },
    {
      opset_import: [
        { domain: "", version: 17 },
        { domain: "local", version: 1 },
        { domain: "my.dom", version: 2 },
      ],
      functions: [
        {
          name: "Twice",
          domain: "local",
          input: ["a"],
          output: ["b"],
          node: [node("Add", ["a", "a"], ["b"])],
          opset_import: [{ domain: "", version: 17 }],
        },
      ],
    },
  );
  const again = modelCodec.decode(exportOnnx(importOnnx(bytes)).bytes);
  expect(again.graph?.node?.map((n) => [n.domain ?? "", n.op_type])).toEqual([
    ["", "If"],
    ["local", "Twice"],
    ["my.dom", "Zorg"],
  ]);
  expect(again.functions?.[0]).toMatchObject({ name: "Twice", input: ["a"], output: ["b"] });
  expect(again.opset_import?.map((o) => o.domain)).toEqual(["", "local", "my.dom"]);
  expect(again.graph?.node?.[2]?.attribute?.[0]).toMatchObject({ name: "k" });
  const then = again.graph?.node?.[0]?.attribute?.find((a) => a.name === "then_branch");
  expect(then?.g?.node?.[0]?.op_type).toBe("Relu");
});

it("brings the attributes of opset 7 to 12 into the newest form", () => {
  const old = (op: string, input: readonly string[], attribute: readonly object[], version: number) =>
    importOnnx(
      model(
        {
          input: [value("x", ["N", 3, 4, 4])],
          output: [value("y", ["N", 3, "h", "w"])],
          node: [node(op, input, ["y"], { attribute: attribute as never })],
        },
        { opset_import: [{ domain: "", version }] },
      ),
    );
  const clip = old(
    "Clip",
    ["x"],
    [
      { name: "min", type: 1, f: 0 },
      { name: "max", type: 1, f: 6 },
    ],
    7,
  ).opsOf("clip")[0];
  expect(toNumbers(constantTensor(clip?.inputs[2])!)[0]).toBe(6);
  const pad = old("Pad", ["x"], [ints("pads", [0, 0, 1, 1, 0, 0, 1, 1])], 10).opsOf("pad")[0];
  expect([...toNumbers(constantTensor(pad?.inputs[1])!)]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  const up = old("Upsample", ["x"], [{ name: "scales", type: 6, floats: [1, 1, 2, 2] }], 7).opsOf("resize")[0];
  expect([...toNumbers(constantTensor(up?.inputs[2])!)]).toEqual([1, 1, 2, 2]);
  const drop = old("Dropout", ["x"], [{ name: "ratio", type: 1, f: 0.25 }], 10).opsOf("dropout")[0];
  expect(drop).toBeDefined();
});

it("reads and writes tensors of narrow types: values as numpy has them", () => {
  // 1.5, -2, 0.333… as bf16 and f16; 4-bit integers two to a byte, the first in the low half.
  const tensors = [
    { name: "bf", data_type: 16, dims: [3], raw_data: new Uint8Array([0xc0, 0x3f, 0x00, 0xc0, 0xab, 0x3e]), numbers: [1.5, -2, 0.333984375] },
    { name: "half", data_type: 10, dims: [3], raw_data: new Uint8Array([0x00, 0x3e, 0x00, 0xc0, 0x55, 0x35]), numbers: [1.5, -2, 0.333251953125] },
    { name: "u4", data_type: 21, dims: [3], raw_data: new Uint8Array([0xf1, 0x07]), numbers: [1, 15, 7] },
    { name: "s4", data_type: 22, dims: [3], raw_data: new Uint8Array([0xf1, 0x07]), numbers: [1, -1, 7] },
    { name: "f8", data_type: 17, dims: [3], raw_data: new Uint8Array([0x3c, 0xc0, 0x2b]), numbers: [1.5, -2, 0.34375] },
    {
      name: "big",
      data_type: 7,
      dims: [2],
      raw_data: new Uint8Array(new BigInt64Array([-1n, 9007199254740993n]).buffer),
      numbers: [-1, 9007199254740992],
    },
  ];
  for (const { numbers, ...t } of tensors) {
    const g = importOnnx(
      model(
        { input: [], output: [value("o", t.dims, t.data_type)], initializer: [t], node: [node("Identity", [t.name], ["o"])] },
        { opset_import: [{ domain: "", version: 21 }] },
      ),
    );
    const read = constantTensor(g.opsOf("identity")[0]?.inputs[0]);
    expect([t.name, ...toNumbers(read!)]).toEqual([t.name, ...numbers]);
    const written = modelCodec.decode(exportOnnx(g, { opset: 21 }).bytes).graph?.initializer?.find((i) => i.name === t.name);
    expect([t.name, ...(written?.raw_data ?? [])]).toEqual([t.name, ...t.raw_data]);
  }
});

it("reads external data by reference, and refuses paths that leave the model's folder", () => {
  const inside = join(folder, "in");
  mkdirSync(inside);
  writeFileSync(join(inside, "w.bin"), new Uint8Array(new Float32Array([0, 1, 2, 3]).buffer));
  writeFileSync(join(folder, "secret.bin"), new Uint8Array(64));
  symlinkSync(join(folder, "secret.bin"), join(inside, "link.bin"));
  const external = (location: string, offset = 4, length = 12) =>
    model({
      ...identity,
      initializer: [
        {
          name: "w",
          data_type: 1,
          dims: [3],
          data_location: 1,
          external_data: [
            { key: "location", value: location },
            { key: "offset", value: String(offset) },
            { key: "length", value: String(length) },
          ],
        },
      ],
      node: [node("Add", ["x", "w"], ["y"])],
    });
  const load = (bytes: Uint8Array): Graph => {
    writeFileSync(join(inside, "m.onnx"), bytes);
    return importOnnxFile(join(inside, "m.onnx"));
  };
  const w = load(external("w.bin")).opsOf("add")[0]?.inputs[1];
  expect(w?.producer?.data?.file).toBe(join(inside, "w.bin"));
  expect([...toNumbers(constantTensor(w)!)]).toEqual([1, 2, 3]);
  for (const path of ["../secret.bin", "../../etc/passwd", "/etc/passwd", "link.bin", "nothing.bin", ""])
    expect([path, codeOf(() => load(external(path)))]).toEqual([path, "CEC3009"]);
  expect(codeOf(() => load(external("w.bin", 8)))).toMatch(/CEC3009|CEC3003/);
  expect(codeOf(() => load(external("w.bin", -4)))).toMatch(/CEC3009|CEC3003/);
});

it("handles weights of more than 2 GiB without holding them", async () => {
  const { bavail, bsize } = statfsSync(folder);
  const big = 2 ** 31 + 4096;
  if (bavail * bsize < 3 * big) return void process.stderr.write("SKIPPED: external data of 2 GiB needs 6 GiB of disk\n");
  const at = join(folder, "big");
  mkdirSync(at);
  writeFileSync(join(at, "w.bin"), "");
  // A sparse file: zeros that take no room.
  truncateSync(join(at, "w.bin"), big);
  const rows = big / 4;
  writeFileSync(
    join(at, "m.onnx"),
    model({
      input: [value("i", ["N"], 7)],
      output: [value("y", ["N"])],
      initializer: [{ name: "w", data_type: 1, dims: [rows], data_location: 1, external_data: [{ key: "location", value: "w.bin" }] }],
      node: [node("Gather", ["w", "i"], ["y"])],
    }),
  );
  const before = process.memoryUsage().rss;
  const g = importOnnxFile(join(at, "m.onnx"));
  expect(needsExternalData(g)).toBe(true);
  expect(process.memoryUsage().rss - before).toBeLessThan(256 * 2 ** 20);
  expect(codeOf(() => exportOnnx(g))).toBe("CEC3013");
});

it("writes external data that reads back equal", () => {
  const g = importOnnx(model({ ...identity, initializer: [floats("w", [3], [4, 5, 6])], node: [node("Add", ["x", "w"], ["y"])] }));
  const out = join(folder, "plain.onnx");
  expect(writeOnnx(g, out, 17).opset).toBe(17);
  expect([...toNumbers(constantTensor(importOnnxFile(out).opsOf("add")[0]?.inputs[1])!)]).toEqual([4, 5, 6]);
});

it("raises the opset where an op needs it, and says why", () => {
  const g = importOnnx(model({ input: [x], output: [y], node: [node("Gelu", ["x"], ["y"])] }, { opset_import: [{ domain: "", version: 20 }] }));
  const e = exportOnnx(g, { opset: 17 });
  expect(e.opset).toBe(20);
  expect(e.raised.join()).toMatch(/20/);
  expect(codeOf(() => exportOnnx(g, { opset: 12 }))).toBe("CEC3012");
});

it("names what is wrong with a hostile file", () => {
  const w = (t: object) => model({ ...identity, initializer: [t as never], node: [node("Add", ["x", "w"], ["y"])] });
  const cases: readonly (readonly [string, RegExp, Uint8Array])[] = [
    ["no bytes", /CEC3001/, new Uint8Array()],
    ["text", /CEC3001/, new TextEncoder().encode("this is no model at all, is it?")],
    ["opset 5", /CEC3002/, model(identity, { opset_import: [{ domain: "", version: 5 }] })],
    ["opset 0", /CEC3002/, model(identity, { opset_import: [{ domain: "", version: 0 }] })],
    ["opset 99", /CEC3002/, model(identity, { opset_import: [{ domain: "", version: 99 }] })],
    ["short raw data", /CEC3003/, w({ ...floats("w", [3], [1, 2, 3]), raw_data: new Uint8Array(8) })],
    ["long raw data", /CEC3003/, w({ ...floats("w", [3], [1, 2, 3]), raw_data: new Uint8Array(16) })],
    ["negative dimension", /CEC3004/, w({ ...floats("w", [3], [1, 2, 3]), dims: [-3] })],
    ["overflowing dimensions", /CEC300[34]/, w({ ...floats("w", [3], [1, 2, 3]), dims: [2 ** 40, 2 ** 40] })],
    ["unknown type", /CEC3005/, w({ ...floats("w", [3], [1, 2, 3]), data_type: 99 })],
    ["no producer", /CEC3006/, model({ ...identity, node: [node("Relu", ["nowhere"], ["y"])] })],
    ["two producers", /CEC3007/, model({ ...identity, node: [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])] })],
    ["cycle", /CEC3008/, model({ ...identity, node: [node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"]), node("Neg", ["b"], ["y"])] })],
    ["too few operands", /CEC3010|CEC4001/, model({ ...identity, node: [node("Add", ["x"], ["y"])] })],
    ["no graph", /CEC3001/, modelCodec.encode({ ir_version: 8, opset_import: [{ domain: "", version: 17 }] } as never)],
    ["output that nothing makes", /CEC3006/, model({ ...identity, output: [value("z", [1])] })],
  ];
  for (const [what, code, bytes] of cases) expect([what, codeOf(() => importOnnx(bytes))]).toEqual([what, expect.stringMatching(code)]);
});

/** A length-delimited field: nesting deeper than an encoder would go is written by hand. */
function field(number: number, payload: Uint8Array): Uint8Array {
  const head = [(number << 3) | 2];
  for (let n = payload.length; ; n >>>= 7) {
    if (n < 128) {
      head.push(n);
      break;
    }
    head.push((n & 127) | 128);
  }
  return Buffer.concat([Uint8Array.from(head), payload]);
}

it("bounds nesting of bodies", () => {
  const text = (s: string): Uint8Array => new TextEncoder().encode(s);
  let graph: Uint8Array = field(2, text("inner"));
  for (let i = 0; i < 2000; i++) {
    const attribute = Buffer.concat([field(1, text("then_branch")), field(6, graph), Uint8Array.from([0xa0, 0x01, 5])]);
    graph = field(1, Buffer.concat([field(1, text("c")), field(2, text(`y${i}`)), field(4, text("If")), field(5, attribute)]));
  }
  expect(codeOf(() => importOnnx(Buffer.concat([Uint8Array.from([8, 8]), field(7, graph), field(8, Uint8Array.from([0x10, 17]))])))).toMatch(
    /CEC3011/,
  );
});

it("knows every operator that the product promises", () => {
  const promised =
    "conv conv_transpose gemm matmul einsum batch_normalization layer_normalization instance_normalization group_normalization relu leaky_relu prelu clip hard_sigmoid hard_swish sigmoid tanh gelu erf softmax log_softmax max_pool average_pool lp_pool global_max_pool global_average_pool reduce_mean reduce_sum reduce_max reduce_min reduce_l2 arg_max top_k add sub mul div pow sqrt exp log neg abs min max where equal less greater and or not concat split slice gather gather_elements scatter_nd pad reshape transpose flatten squeeze unsqueeze expand tile cast shape constant_of_shape range resize depth_to_space space_to_depth lstm gru rnn quantize_linear dequantize_linear dynamic_quantize_linear qlinear_conv qlinear_matmul matmul_integer conv_integer dropout identity if loop scan";
  for (const kind of promised.split(" ")) expect([kind, opDefinition(kind) !== undefined]).toEqual([kind, true]);
});
