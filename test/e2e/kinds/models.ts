/** Small models of kinds that the real ones are not: old opsets, recurrent nets, control flow, attention, detection tails. Made as raw ONNX messages. */
import { f32, i64, normalFrom, randomFrom, type Tensor } from "../../../compiler/core/index.js";
import type { AttributeProto, GraphProto, NodeProto, TensorProto, ValueInfoProto } from "../../../compiler/core/onnx/schema.js";
import { floats, int, int64s, ints, model, node, value } from "../../unit/core/onnx/support.js";

export interface Kind {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Calibration arrays by input name, the sample first. */
  readonly arrays: Readonly<Record<string, Tensor>>;
  /** Least cosine of calibrated INT8, in ONNX Runtime; 0.98 where absent. */
  readonly cosine?: number;
  /** Ops that must be told to stay in float (as `kind`). */
  readonly float?: readonly string[];
  /** False where no op can run on INT8. */
  readonly quantizes?: false;
}

const random = randomFrom(11);
const normal = (n: number, scale = 1): number[] => Array.from({ length: n }, () => scale * normalFrom(random));
const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** Weights of a variance that keeps the scale of activations. */
const w = (name: string, dims: readonly number[], fanIn: number): TensorProto => floats(name, dims, normal(product(dims), Math.sqrt(2 / fanIn)));
const zeros = (name: string, dims: readonly number[]): TensorProto => floats(name, dims, new Array<number>(product(dims)).fill(0));
const float = (name: string, f: number): AttributeProto => ({ name, type: 1, f });
const string = (name: string, s: string): AttributeProto => ({ name, type: 3, s: new TextEncoder().encode(s) });
const body = (name: string, g: Partial<GraphProto>): AttributeProto => ({
  name,
  type: 5,
  g: { name, node: [], input: [], output: [], initializer: [], ...g } as GraphProto,
});
const constant = (t: TensorProto): NodeProto =>
  node("Constant", [], [t.name as string], { attribute: [{ name: "value", type: 4, t: { ...t, name: "" } }] });
const samples = (dims: readonly number[], count = 24): Tensor => f32([count, ...dims], normal(count * product(dims)));
const indices = (dims: readonly number[], below: number, count = 24): Tensor =>
  i64(
    Array.from({ length: count * product(dims) }, () => Math.floor(random() * below)),
    [count, ...dims],
  );
const at = (opset: number, graph: Partial<GraphProto>, more = {}): Uint8Array =>
  model(graph, { opset_import: [{ domain: "", version: opset }], ...more });
const io = (input: readonly ValueInfoProto[], output: readonly ValueInfoProto[]) => ({ input: [...input], output: [...output] });

export const kinds: readonly Kind[] = [
  {
    name: "opset 7: attributes for what are operands today, weights in Constant nodes",
    arrays: { x: samples([3, 8, 8]) },
    bytes: at(7, {
      ...io([value("x", ["N", 3, 8, 8])], [value("y", ["N", 10])]),
      node: [
        constant(w("cw", [16, 3, 3, 3], 27)),
        constant(
          floats(
            "s",
            [16],
            normal(16, 0.1).map((v) => 1 + v),
          ),
        ),
        constant(zeros("b", [16])),
        constant(zeros("m", [16])),
        constant(floats("v", [16], new Array<number>(16).fill(1))),
        constant(w("fw", [10, 16], 16)),
        constant(zeros("fb", [10])),
        node("Pad", ["x"], ["p"], { attribute: [ints("pads", [0, 0, 1, 1, 0, 0, 1, 1])] }),
        node("Conv", ["p", "cw"], ["c"], { attribute: [ints("kernel_shape", [3, 3])] }),
        node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        node("Clip", ["n"], ["r"], { attribute: [float("min", 0), float("max", 6)] }),
        node("Upsample", ["r"], ["u"], { attribute: [{ name: "scales", type: 6, floats: [1, 1, 2, 2] }] }),
        node("Dropout", ["u"], ["d"], { attribute: [float("ratio", 0.5)] }),
        node("GlobalAveragePool", ["d"], ["g"]),
        node("Squeeze", ["g"], ["q"], { attribute: [ints("axes", [2, 3])] }),
        node("Gemm", ["q", "fw", "fb"], ["y"], { attribute: [int("transB", 1)] }),
      ],
    }),
  },
  {
    name: "opset 11: dynamic batch and length, three axes, MatMul and Add",
    arrays: { x: samples([5, 32]) },
    bytes: at(11, {
      ...io([value("x", ["batch", "length", 32])], [value("y", ["batch", "length", 16])]),
      initializer: [w("a", [32, 64], 32), zeros("ab", [64]), w("b", [64, 16], 64)],
      node: [node("MatMul", ["x", "a"], ["m"]), node("Add", ["m", "ab"], ["n"]), node("Relu", ["n"], ["r"]), node("MatMul", ["r", "b"], ["y"])],
    }),
  },
  {
    name: "Gemm with either operand transposed",
    arrays: { x: samples([32]), z: f32([24, 16], normal(24 * 16)) },
    float: ["gemm"],
    bytes: at(13, {
      ...io([value("x", ["N", 32]), value("z", ["N", 16])], [value("y", ["N", 16]), value("t", [32, 24])]),
      initializer: [w("a", [64, 32], 32), w("b", [64, 16], 64), w("c", [24, 16], 16)],
      node: [
        node("Gemm", ["x", "a"], ["m"], { attribute: [int("transB", 1)] }),
        node("Relu", ["m"], ["r"]),
        node("Gemm", ["r", "b"], ["y"]),
        node("Gemm", ["x", "z"], ["u"], { attribute: [int("transA", 1)] }),
        node("Gemm", ["u", "c"], ["t"], { attribute: [int("transB", 1)] }),
      ],
    }),
  },
  {
    name: "LSTM, GRU and RNN one after the other",
    arrays: { x: samples([6, 16]) },
    float: ["lstm", "gru", "rnn"],
    bytes: at(14, {
      ...io([value("x", ["N", 6, 16])], [value("y", ["N", 8])]),
      initializer: [
        w("lw", [1, 4 * 24, 16], 32),
        w("lr", [1, 4 * 24, 24], 48),
        w("gw", [1, 3 * 24, 24], 48),
        w("gr", [1, 3 * 24, 24], 48),
        w("rw", [1, 24, 24], 48),
        w("rr", [1, 24, 24], 48),
        int64s("axis", [1]),
        int64s("last", [-1], []),
        w("fw", [24, 8], 24),
      ],
      node: [
        node("Transpose", ["x"], ["t"], { attribute: [ints("perm", [1, 0, 2])] }),
        node("LSTM", ["t", "lw", "lr"], ["l4"], { attribute: [int("hidden_size", 24)] }),
        node("Squeeze", ["l4", "axis"], ["l"]),
        node("GRU", ["l", "gw", "gr"], ["g4"], { attribute: [int("hidden_size", 24)] }),
        node("Squeeze", ["g4", "axis"], ["g"]),
        node("RNN", ["g", "rw", "rr"], ["r4"], { attribute: [int("hidden_size", 24)] }),
        node("Squeeze", ["r4", "axis"], ["r"]),
        node("Gather", ["r", "last"], ["h"], { attribute: [int("axis", 0)] }),
        node("MatMul", ["h", "fw"], ["y"]),
      ],
    }),
  },
  {
    name: "1-D convolution: groups, dilation, PRelu, LeakyRelu, pools",
    arrays: { x: samples([8, 64]) },
    bytes: at(13, {
      ...io([value("x", ["N", 8, 64])], [value("y", ["N", 12])]),
      initializer: [
        w("a", [32, 2, 5], 10),
        zeros("ab", [32]),
        w("b", [32, 32, 3], 96),
        floats("slope", [32, 1], new Array<number>(32).fill(0.1)),
        w("f", [12, 32], 32),
      ],
      node: [
        node("Conv", ["x", "a", "ab"], ["c"], { attribute: [int("group", 4), ints("kernel_shape", [5]), string("auto_pad", "SAME_UPPER")] }),
        node("PRelu", ["c", "slope"], ["p"]),
        node("MaxPool", ["p"], ["m"], { attribute: [ints("kernel_shape", [2]), ints("strides", [2])] }),
        node("Conv", ["m", "b"], ["d"], { attribute: [ints("kernel_shape", [3]), ints("dilations", [2]), ints("pads", [2, 2])] }),
        node("LeakyRelu", ["d"], ["l"], { attribute: [float("alpha", 0.2)] }),
        node("GlobalMaxPool", ["l"], ["g"]),
        node("Flatten", ["g"], ["h"]),
        node("Gemm", ["h", "f"], ["y"], { attribute: [int("transB", 1)] }),
      ],
    }),
  },
  {
    name: "segmentation: ConvTranspose, Resize, Concat, norms, pools with ceil and padding, DepthToSpace",
    arrays: { x: samples([4, 15, 15]) },
    bytes: at(13, {
      ...io([value("x", ["N", 4, 15, 15])], [value("y", ["N", 4, "h", "w"])]),
      initializer: [
        w("a", [16, 4, 3, 3], 36),
        w("t", [16, 16, 2, 2], 64),
        floats("scale", [16], new Array<number>(16).fill(1)),
        zeros("bias", [16]),
        w("b", [16, 32, 1, 1], 32),
        floats("two", [4], [1, 1, 2, 2]),
      ],
      node: [
        node("Conv", ["x", "a"], ["c"], { attribute: [ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1])] }),
        node("InstanceNormalization", ["c", "scale", "bias"], ["i"]),
        node("Relu", ["i"], ["r"]),
        node("MaxPool", ["r"], ["m"], { attribute: [ints("kernel_shape", [2, 2]), ints("strides", [2, 2]), int("ceil_mode", 1)] }),
        node("ConvTranspose", ["m", "t"], ["u"], { attribute: [ints("kernel_shape", [2, 2]), ints("strides", [2, 2])] }),
        node("AveragePool", ["m"], ["v"], { attribute: [ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1]), int("count_include_pad", 1)] }),
        node("Resize", ["v", "", "two"], ["z"], {
          attribute: [string("mode", "nearest"), string("coordinate_transformation_mode", "asymmetric"), string("nearest_mode", "floor")],
        }),
        node("Concat", ["u", "z"], ["k"], { attribute: [int("axis", 1)] }),
        node("Conv", ["k", "b"], ["o"], { attribute: [ints("kernel_shape", [1, 1])] }),
        node("Sigmoid", ["o"], ["s"]),
        node("DepthToSpace", ["s"], ["y"], { attribute: [int("blocksize", 2)] }),
      ],
    }),
  },
  {
    name: "transformer block on token ids: embedding, LayerNormalization, attention with a mask, GELU",
    arrays: { ids: indices([6], 50) },
    bytes: at(17, {
      ...io([value("ids", ["N", 6], 7)], [value("y", ["N", 6, 32])]),
      initializer: [
        w("table", [50, 32], 2),
        floats("one", [32], new Array<number>(32).fill(1)),
        zeros("zero", [32]),
        w("qkv", [32, 96], 32),
        int64s("third", [32, 32, 32]),
        floats("scale", [], [Math.sqrt(32)]),
        w("out", [32, 32], 32),
        w("up", [32, 64], 32),
        w("down", [64, 32], 64),
        floats("r2", [], [Math.SQRT2]),
        floats("half", [], [0.5]),
        floats("unit", [], [1]),
        floats("low", [], [-1e4]),
        { name: "mask", data_type: 9, dims: [6, 6], raw_data: Uint8Array.from({ length: 36 }, (_, i) => (i % 6 <= Math.floor(i / 6) ? 1 : 0)) },
      ],
      node: [
        node("Gather", ["table", "ids"], ["e"]),
        node("LayerNormalization", ["e", "one", "zero"], ["n"], { attribute: [int("axis", -1)] }),
        node("MatMul", ["n", "qkv"], ["p"]),
        node("Split", ["p", "third"], ["q", "k", "v"], { attribute: [int("axis", 2)] }),
        node("Transpose", ["k"], ["kt"], { attribute: [ints("perm", [0, 2, 1])] }),
        node("MatMul", ["q", "kt"], ["s"]),
        node("Div", ["s", "scale"], ["d"]),
        node("Where", ["mask", "d", "low"], ["m"]),
        node("Softmax", ["m"], ["a"], { attribute: [int("axis", -1)] }),
        node("MatMul", ["a", "v"], ["c"]),
        node("MatMul", ["c", "out"], ["o"]),
        node("Add", ["e", "o"], ["f"]),
        node("MatMul", ["f", "up"], ["u"]),
        node("Div", ["u", "r2"], ["g1"]),
        node("Erf", ["g1"], ["g2"]),
        node("Add", ["g2", "unit"], ["g3"]),
        node("Mul", ["u", "g3"], ["g4"]),
        node("Mul", ["g4", "half"], ["g5"]),
        node("MatMul", ["g5", "down"], ["w"]),
        node("Add", ["f", "w"], ["y"]),
      ],
    }),
    float: ["softmax", "layer_normalization"],
  },
  {
    name: "detection tail: TopK, ArgMax, GatherElements, ScatterND, reductions",
    arrays: { x: samples([3, 8, 8]) },
    bytes: at(13, {
      ...io([value("x", ["N", 3, 8, 8])], [value("y", ["N", 5]), value("best", ["N"], 7), value("l", ["N"])]),
      initializer: [w("a", [8, 3, 3, 3], 27), int64s("five", [5]), int64s("where", [0], [1, 1]), floats("row", [1, 5], [5, 4, 3, 2, 1])],
      node: [
        node("Conv", ["x", "a"], ["c"], { attribute: [ints("kernel_shape", [3, 3])] }),
        node("Relu", ["c"], ["r"]),
        node("Flatten", ["r"], ["f"]),
        node("TopK", ["f", "five"], ["v", "i"]),
        node("GatherElements", ["f", "i"], ["e"], { attribute: [int("axis", 1)] }),
        node("ScatterND", ["e", "where", "row"], ["y"]),
        node("ArgMax", ["f"], ["best"], { attribute: [int("axis", 1), int("keepdims", 0)] }),
        node("ReduceL2", ["f"], ["l"], { attribute: [ints("axes", [1]), int("keepdims", 0)] }),
      ],
    }),
    float: ["top_k"],
  },
  {
    name: "nested If, Loop and Scan around convolutions",
    arrays: { x: samples([4, 8, 8]) },
    bytes: at(16, {
      ...io([value("x", ["N", 4, 8, 8])], [value("y", ["N", 8])]),
      initializer: [
        w("a", [16, 4, 3, 3], 36),
        w("f", [16, 8], 16),
        floats("zero", [], [0]),
        int64s("trips", [3], []),
        { name: "yes", data_type: 9, dims: [], raw_data: Uint8Array.from([1]) },
      ],
      node: [
        node("Conv", ["x", "a"], ["c"], { attribute: [ints("kernel_shape", [3, 3])] }),
        node("ReduceMean", ["c"], ["mean"], { attribute: [int("keepdims", 0)] }),
        node("Greater", ["mean", "zero"], ["p"]),
        node("If", ["p"], ["r"], {
          attribute: [
            body("then_branch", {
              node: [
                node("If", ["yes"], ["inner"], {
                  attribute: [
                    body("then_branch", { node: [node("Relu", ["c"], ["t1"])], output: [value("t1", ["N", 16, 6, 6])] }),
                    body("else_branch", { node: [node("Neg", ["c"], ["t2"])], output: [value("t2", ["N", 16, 6, 6])] }),
                  ],
                }),
              ],
              output: [value("inner", ["N", 16, 6, 6])],
            }),
            body("else_branch", { node: [node("Abs", ["c"], ["t3"])], output: [value("t3", ["N", 16, 6, 6])] }),
          ],
        }),
        node("Loop", ["trips", "yes", "r"], ["looped"], {
          attribute: [
            body("body", {
              input: [value("i", [], 7), value("go", [], 9), value("state", ["N", 16, 6, 6])],
              output: [value("go2", [], 9), value("next", ["N", 16, 6, 6])],
              node: [node("Identity", ["go"], ["go2"]), node("Tanh", ["state"], ["next"])],
            }),
          ],
        }),
        node("GlobalAveragePool", ["looped"], ["g"]),
        node("Flatten", ["g"], ["h"]),
        node("MatMul", ["h", "f"], ["y"]),
      ],
    }),
    float: ["if", "loop"],
    // Three tanh of small means: what is left is noise of small numbers.
    cosine: 0.95,
  },
  {
    name: "two opset imports: a local function between convolutions",
    arrays: { x: samples([4, 6, 6]) },
    bytes: model(
      {
        ...io([value("x", ["N", 4, 6, 6])], [value("y", ["N", 8, 6, 6])]),
        initializer: [w("a", [16, 4, 3, 3], 36), w("b", [8, 16, 1, 1], 16)],
        node: [
          node("Conv", ["x", "a"], ["c"], { attribute: [ints("kernel_shape", [3, 3]), ints("pads", [1, 1, 1, 1])] }),
          node("Double", ["c"], ["d"], { domain: "our.own" }),
          node("Relu", ["d"], ["r"]),
          node("Conv", ["r", "b"], ["y"], { attribute: [ints("kernel_shape", [1, 1])] }),
        ],
      },
      {
        opset_import: [
          { domain: "", version: 17 },
          { domain: "our.own", version: 1 },
        ],
        functions: [
          {
            name: "Double",
            domain: "our.own",
            input: ["p"],
            output: ["q"],
            node: [node("Add", ["p", "p"], ["q"])],
            opset_import: [{ domain: "", version: 17 }],
          },
        ],
      },
    ),
    float: ["carry"],
  },
  {
    name: "element-wise zoo, casts, shapes, slices and reductions around two matrix products",
    arrays: { x: samples([32]) },
    bytes: at(14, {
      ...io([value("x", ["N", 32])], [value("y", ["N", 8])]),
      initializer: [
        w("a", [32, 48], 32),
        w("b", [24, 8], 24),
        floats("two", [], [2]),
        floats("tiny", [], [0.5]),
        int64s("s", [0]),
        int64s("e", [24]),
        int64s("ax", [1]),
        int64s("rep", [1, 1]),
        int64s("shape", [1, 24]),
        int64s("keep", [0, -1]),
      ],
      node: [
        node("MatMul", ["x", "a"], ["m"]),
        node("Slice", ["m", "s", "e", "ax"], ["l"]),
        node("Abs", ["l"], ["t1"]),
        node("Add", ["t1", "tiny"], ["t2"]),
        node("Sqrt", ["t2"], ["t3"]),
        node("Log", ["t2"], ["t4"]),
        node("Exp", ["t4"], ["t5"]),
        node("Pow", ["t3", "two"], ["t6"]),
        node("Sub", ["t6", "t5"], ["t7"]),
        node("Neg", ["t7"], ["t8"]),
        node("Max", ["t8", "l"], ["t9"]),
        node("Min", ["t9", "two"], ["t10"]),
        node("Greater", ["t10", "tiny"], ["b1"]),
        node("Less", ["t10", "two"], ["b2"]),
        node("And", ["b1", "b2"], ["b3"]),
        node("Not", ["b3"], ["b4"]),
        node("Or", ["b3", "b4"], ["b5"]),
        node("Where", ["b5", "t10", "l"], ["t11"]),
        node("HardSwish", ["t11"], ["t12"]),
        node("HardSigmoid", ["t11"], ["t13"]),
        node("Mul", ["t12", "t13"], ["t14"]),
        node("Tile", ["t14", "rep"], ["t15"]),
        node("Shape", ["t15"], ["sh"]),
        node("Reshape", ["t15", "sh"], ["t16"]),
        node("Cast", ["t16"], ["t17"], { attribute: [int("to", 1)] }),
        node("ReduceMax", ["t17"], ["mx"], { attribute: [ints("axes", [1]), int("keepdims", 1)] }),
        node("Div", ["t17", "two"], ["t18"]),
        node("Add", ["t18", "mx"], ["t19"]),
        node("MatMul", ["t19", "b"], ["y"]),
      ],
    }),
  },
  {
    name: "Einsum and a product of two computed matrices",
    arrays: { x: samples([8, 16]) },
    bytes: at(13, {
      ...io([value("x", ["N", 8, 16])], [value("y", ["N", 8, 32])]),
      initializer: [w("a", [16, 32], 16)],
      node: [
        node("MatMul", ["x", "a"], ["m"]),
        node("Einsum", ["m", "m"], ["s"], { attribute: [string("equation", "bij,bkj->bik")] }),
        node("MatMul", ["s", "m"], ["y"]),
      ],
    }),
    float: ["einsum"],
  },
];
