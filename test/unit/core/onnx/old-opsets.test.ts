/** Nodes in the forms of opsets 7 to 12: ONNX Runtime gives the same for the file as it is and for what cec writes of it. */
import { expect, it } from "vitest";
import { exportOnnx, importOnnx, randomFrom, tensor, toNumbers } from "../../../../compiler/core/index.js";
import type { AttributeProto, TensorProto } from "../../../../compiler/core/onnx/schema.js";
import { loadOrt, ortSession } from "../../../../compiler/driver/engine/ort.js";
import { float, floatList, floats, int, int64s, ints, model, node, string, value } from "./support.js";

/** The longest that an exporter writes for "to the end". */
const END = { low: -1, high: 0x7fffffff, unsigned: false } as never as number;

interface Old {
  readonly what: string;
  readonly op: string;
  readonly opset: number;
  readonly shape: readonly number[];
  readonly attributes?: readonly AttributeProto[];
  readonly more?: readonly TensorProto[];
  readonly outputs?: number;
  /** Kinds that must be there after import. */
  readonly kinds: readonly string[];
}

const scales = [1, 1, 2, 3];
const cases: readonly Old[] = [
  { what: "Clip with attributes", op: "Clip", opset: 10, shape: [2, 3], attributes: [float("min", -0.5), float("max", 0.25)], kinds: ["clip"] },
  { what: "Clip with one bound", op: "Clip", opset: 7, shape: [2, 3], attributes: [float("max", 0.25)], kinds: ["clip"] },
  { what: "Dropout with a mask", op: "Dropout", opset: 10, shape: [2, 3], attributes: [float("ratio", 0.5)], kinds: ["dropout"] },
  {
    what: "Pad, constant",
    op: "Pad",
    opset: 10,
    shape: [1, 2, 3],
    attributes: [ints("pads", [0, 1, 0, 0, 0, 2]), float("value", 1.5)],
    kinds: ["pad"],
  },
  {
    what: "Pad, reflected",
    op: "Pad",
    opset: 9,
    shape: [1, 4, 4],
    attributes: [ints("pads", [0, 1, 1, 0, 2, 1]), string("mode", "reflect")],
    kinds: ["pad"],
  },
  {
    what: "Slice to the end",
    op: "Slice",
    opset: 9,
    shape: [4, 5],
    attributes: [ints("starts", [1, -3]), ints("ends", [END, -1]), ints("axes", [0, 1])],
    kinds: ["slice"],
  },
  {
    what: "Slice without axes",
    op: "Slice",
    opset: 7,
    shape: [4, 5],
    attributes: [ints("starts", [1, 2]), ints("ends", [3, 1000])],
    kinds: ["slice"],
  },
  { what: "TopK of opset 9", op: "TopK", opset: 9, shape: [3, 5], attributes: [int("k", 2), int("axis", 0)], outputs: 1, kinds: ["top_k"] },
  { what: "Squeeze with axes", op: "Squeeze", opset: 11, shape: [1, 3, 1], attributes: [ints("axes", [-1])], kinds: ["squeeze"] },
  { what: "Squeeze of all", op: "Squeeze", opset: 7, shape: [1, 3, 1], kinds: ["squeeze"] },
  { what: "Unsqueeze", op: "Unsqueeze", opset: 11, shape: [2, 3], attributes: [ints("axes", [0, 3])], kinds: ["unsqueeze"] },
  {
    what: "Split in sizes",
    op: "Split",
    opset: 11,
    shape: [5, 2],
    attributes: [ints("split", [2, 3]), int("axis", 0)],
    outputs: 2,
    kinds: ["split"],
  },
  { what: "Split in equal parts", op: "Split", opset: 7, shape: [4, 2], outputs: 2, kinds: ["split"] },
  {
    what: "ReduceSum over axes",
    op: "ReduceSum",
    opset: 11,
    shape: [2, 3, 4],
    attributes: [ints("axes", [-1, 0]), int("keepdims", 0)],
    kinds: ["reduce_sum"],
  },
  { what: "ReduceMean over all", op: "ReduceMean", opset: 12, shape: [2, 3, 4], kinds: ["reduce_mean"] },
  { what: "ReduceL2 over an axis", op: "ReduceL2", opset: 7, shape: [2, 3, 4], attributes: [ints("axes", [1])], kinds: ["reduce_l2"] },
  {
    what: "Softmax over two axes at once",
    op: "Softmax",
    opset: 11,
    shape: [2, 3, 4],
    attributes: [int("axis", 1)],
    kinds: ["flatten", "softmax", "reshape"],
  },
  { what: "Softmax of the last axis", op: "Softmax", opset: 9, shape: [2, 3], kinds: ["softmax"] },
  { what: "LogSoftmax over all axes", op: "LogSoftmax", opset: 11, shape: [2, 3, 4], attributes: [int("axis", 0)], kinds: ["log_softmax"] },
  { what: "Hardmax over two axes", op: "Hardmax", opset: 7, shape: [2, 3, 4], attributes: [int("axis", 1)], kinds: ["hardmax"] },
  { what: "Upsample with an attribute", op: "Upsample", opset: 7, shape: [1, 2, 3, 3], attributes: [floatList("scales", scales)], kinds: ["resize"] },
  {
    what: "Upsample, linear, with an operand",
    op: "Upsample",
    opset: 9,
    shape: [1, 2, 3, 3],
    attributes: [string("mode", "linear")],
    more: [floats("s", [4], scales)],
    kinds: ["resize"],
  },
  {
    what: "Resize of opset 10",
    op: "Resize",
    opset: 10,
    shape: [1, 2, 4, 4],
    attributes: [string("mode", "nearest")],
    more: [floats("s", [4], [1, 1, 0.5, 1.5])],
    kinds: ["resize"],
  },
  {
    what: "AveragePool, padding left out",
    op: "AveragePool",
    opset: 7,
    shape: [1, 2, 5, 5],
    attributes: [ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1]), ints("strides", [2, 2])],
    kinds: ["average_pool"],
  },
  {
    what: "MaxPool, SAME_LOWER",
    op: "MaxPool",
    opset: 8,
    shape: [1, 2, 5, 5],
    attributes: [ints("kernel_shape", [2, 2]), string("auto_pad", "SAME_LOWER"), ints("strides", [2, 2])],
    kinds: ["max_pool"],
  },
  { what: "Flatten of opset 7", op: "Flatten", opset: 7, shape: [2, 3, 4], attributes: [int("axis", 2)], kinds: ["flatten"] },
  { what: "Reshape of opset 7", op: "Reshape", opset: 7, shape: [2, 3, 4], more: [int64s("s", [0, -1])], kinds: ["reshape"] },
  {
    what: "Gemm with a bias of three dimensions less",
    op: "Gemm",
    opset: 9,
    shape: [2, 3],
    more: [
      floats(
        "b",
        [3, 4],
        Array.from({ length: 12 }, (_, i) => i / 7),
      ),
      floats("c", [], [0.5]),
    ],
    attributes: [float("alpha", 0.5)],
    kinds: ["gemm"],
  },
  {
    what: "BatchNormalization of opset 7",
    op: "BatchNormalization",
    opset: 7,
    shape: [2, 3, 2, 2],
    more: ["s", "b", "m", "v"].map((n, i) => floats(n, [3], [i + 1, i + 2, i + 3])),
    attributes: [float("momentum", 0.5)],
    kinds: ["batch_normalization"],
  },
  {
    what: "PRelu with a slope to be broadcast",
    op: "PRelu",
    opset: 7,
    shape: [2, 3, 4],
    more: [floats("s", [3, 1], [0.1, 0.2, 0.3])],
    kinds: ["prelu"],
  },
  {
    what: "Scatter",
    op: "Scatter",
    opset: 9,
    shape: [3, 3],
    more: [int64s("i", [1, 0, 2, 0, 2, 1], [2, 3]), floats("u", [2, 3], [1, 2, 3, 4, 5, 6])],
    kinds: ["scatter_elements"],
  },
  { what: "ArgMax of opset 11", op: "ArgMax", opset: 11, shape: [3, 4], attributes: [int("axis", -1)], kinds: ["arg_max"] },
];

const ort = (await loadOrt()) !== null;
if (!ort) process.stderr.write("SKIPPED: old opsets are compared in ONNX Runtime, which is not installed\n");

it.skipIf(!ort).each(cases.map((c) => [c.what, c] as const))("%s", async (_, c) => {
  const outputs = Array.from({ length: c.outputs ?? 1 }, (_, i) => `y${i}`);
  const names = c.op === "TopK" ? [...outputs, "indices"] : outputs;
  const unknown = (name: string) => ({ name, type: { tensor_type: { elem_type: c.op === "ArgMax" ? 7 : 1 } } });
  const more = c.more ?? [];
  const bytes = model(
    {
      // IR version 3 wants initializers among the inputs.
      input: [value("x", c.shape), ...(c.opset < 9 ? more.map((t) => value(t.name ?? "", t.dims as number[], t.data_type)) : [])],
      output: outputs.map(unknown),
      initializer: [...more],
      node: [node(c.op, ["x", ...more.map((t) => t.name ?? "")], names, { attribute: [...(c.attributes ?? [])] })],
    },
    { ir_version: c.opset < 9 ? 3 : 4, opset_import: [{ domain: "", version: c.opset }] },
  );
  const graph = importOnnx(bytes);
  const kinds = new Set(graph.ops.map((op) => op.kind));
  for (const kind of c.kinds) expect(kinds).toContain(kind);
  expect(kinds).not.toContain("carry");
  const next = randomFrom(c.what.length);
  const x = tensor(
    "f32",
    c.shape,
    Array.from({ length: c.shape.reduce((a, b) => a * b, 1) }, () => next() * 2 - 1),
  );
  const run = async (file: Uint8Array) => {
    const s = await ortSession(file);
    return s.run({ x }).finally(() => s.dispose());
  };
  const want = await run(bytes);
  for (const opset of [13, 17, 21]) {
    const got = await run(exportOnnx(graph, { opset }).bytes);
    for (const name of outputs) {
      expect(got[name]?.dims).toEqual(want[name]?.dims);
      const [a, b] = [toNumbers(got[name]!), toNumbers(want[name]!)];
      a.forEach((v, i) => expect(v).toBeCloseTo(b[i] as number, 5));
    }
  }
});
