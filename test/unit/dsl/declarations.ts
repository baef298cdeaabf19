/** Declarations for tests of the language: it knows none of its own, so neither the passes nor the layers of the product are needed here. */
import { z } from "zod";
import { fail, type Span } from "../../../compiler/core/diagnostics/index.js";
import type { Callable, Declarations, LayerDeclaration, ModelSink } from "../../../dsl/index.js";

const none = z.object({}).strict();
const int = z.number().int();

const callable = (name: string, options: z.ZodType = none, positional: readonly string[] = []): [string, Callable] => [
  name,
  { name, summary: `the pass ${name}`, options, positional },
];

const layer = (
  name: string,
  inputs: number | "variadic" = 1,
  options: z.ZodType = none,
  positional: readonly string[] = [],
  outputs = 1,
): [string, LayerDeclaration] => [name, { name, summary: `the layer ${name}`, inputs, options, positional, ...(outputs === 1 ? {} : { outputs }) }];

export const declarations: Declarations = {
  passes: new Map([
    callable("fold_batch_norm"),
    callable("fuse"),
    callable(
      "teach",
      z.object({ teacher: z.string().meta({ names: "model" }), on: z.string().meta({ names: "data" }).optional().describe("samples") }).strict(),
    ),
    callable("prune", z.object({ sparsity: z.number().min(0).max(1), pattern: z.enum(["2:4", "blocks", "any"]).default("any") }).strict(), [
      "sparsity",
    ]),
    callable(
      "quantize",
      z
        .object({
          mode: z.enum(["int8", "int4"]).default("int8"),
          weights: z.enum(["per_channel", "per_tensor"]).default("per_channel"),
          activations: z.enum(["asymmetric", "symmetric"]).default("asymmetric"),
          range: z.enum(["minmax", "percentile", "entropy", "mse"]).default("mse"),
          percentile: z.number().gt(0).max(100).default(99.99),
          keep: z.array(z.string()).default([]),
          overrides: z.record(z.string(), z.object({ bits: int.min(2).max(8) }).strict()).default({}),
          bias: z.boolean().default(true),
        })
        .strict(),
      ["mode"],
    ),
  ]),
  layers: new Map([
    layer(
      "conv2d",
      1,
      z
        .object({
          channels: int.min(1),
          kernel: int.min(1).default(1),
          stride: int.min(1).default(1),
          pad: int.min(0).default(0),
          bias: z.boolean().default(true),
        })
        .strict(),
      ["channels", "kernel"],
    ),
    layer("linear", 1, z.object({ features: int.min(1), bias: z.boolean().default(true) }).strict(), ["features"]),
    layer("batch_norm"),
    layer("relu"),
    layer("global_avg_pool"),
    layer("flatten"),
    layer("pad", 1, z.object({ pads: z.array(int).min(1) }).strict(), ["pads"]),
    layer("concat", "variadic", z.object({ axis: int.default(1) }).strict()),
    layer("split", 1, z.object({ parts: int.min(1) }).strict(), ["parts"], 2),
    layer("scale", 1, z.object({ factor: z.number().default(1), offset: z.number().default(0) }).strict(), ["factor", "offset"]),
    ...["add", "sub", "mul", "div", "matmul"].map((n) => layer(n, 2)),
  ]),
  dataKinds: {
    cifar10: { summary: "CIFAR-10", options: z.object({ path: z.string(), split: z.enum(["train", "test"]).default("train") }).strict() },
    image_folder: { summary: "pictures", options: z.object({ path: z.string(), resize: int.min(1).optional() }).strict() },
    generated: { summary: "random numbers", options: z.object({ samples: int.min(1), seed: int.default(0) }).strict() },
  },
  metrics: {
    top1: { summary: "accuracy", needsLabels: true, higherIsBetter: true, unit: "%" },
    agreement: { summary: "equal predictions", needsLabels: false, higherIsBetter: true, unit: "%" },
    flips: { summary: "other predictions", needsLabels: false, higherIsBetter: false, unit: "" },
    sqnr: { summary: "noise", needsLabels: false, higherIsBetter: true, unit: "dB" },
  },
  emits: new Map([
    callable("onnx", z.object({ path: z.string(), profile: z.enum(["cpu", "tensorrt"]).default("cpu"), opset: int.optional() }).strict(), ["path"]),
    callable("native", z.object({ path: z.string() }).strict(), ["path"]),
    callable("report", z.object({ path: z.string() }).strict(), ["path"]),
  ]),
  sources: ["onnx", "cir"],
  engines: ["native", "ort"],
  targets: ["tensorrt", "ort", "native"],
};

/** A plug-in module brings one pass; another name cannot be loaded. */
export async function loadPlugin(path: string): Promise<readonly Callable[]> {
  if (path.endsWith("/my-pass.js"))
    return [{ name: "my-pass", summary: "mine", options: z.object({ strength: z.number().default(1) }).strict(), positional: ["strength"] }];
  if (path.endsWith("/fuse.js")) return [{ name: "fuse", summary: "another fuse", options: none }];
  throw new Error("it exports no pass made by `definePass`");
}

export interface Traced {
  readonly name: string;
  readonly shape: readonly (number | string)[];
}

const shown = (v: unknown): string =>
  JSON.stringify(v)
    .replaceAll(/"([a-z_]\w*)":/g, "$1: ")
    .replaceAll(",", ", ");

/** A sink that writes a line a layer. Convolutions and linear layers set the channels; the rest keeps the shape of its first operand. */
export function traceSink(): { readonly sink: ModelSink<Traced>; readonly lines: readonly string[]; readonly spans: readonly Span[] } {
  const lines: string[] = [];
  const spans: Span[] = [];
  const sink: ModelSink<Traced> = {
    input(name, elementType, dims, span) {
      lines.push(`in ${name}: ${elementType}[${dims.join(", ")}]`);
      spans.push(span);
      return { name, shape: dims };
    },
    layer(declaration, inputs, options, name, span) {
      const first = inputs[0] as Traced;
      if (declaration.name === "linear" && first.shape.length !== 2)
        fail("CEC4001", { message: `linear takes operands of rank 2, and this one has rank ${first.shape.length}` });
      const channels = options["channels"] ?? options["features"];
      const shape =
        declaration.name === "flatten"
          ? first.shape.slice(0, 2)
          : first.shape.map((d, i) => (i === 1 && typeof channels === "number" ? channels : d));
      const outputs = declaration.outputs ?? 1;
      const names = outputs === 1 ? [name] : Array.from({ length: outputs }, (_, i) => `${name}:${i}`);
      lines.push(`${names.join(", ")} = ${declaration.name} ${inputs.map((i) => i.name).join(", ")} ${shown(options)}`);
      spans.push(span);
      return names.map((n) => ({ name: n, shape }));
    },
    output(name, value, span) {
      lines.push(`out ${name} = ${value.name}`);
      spans.push(span);
    },
    shape: (v) => v.shape,
  };
  return { sink, lines, spans };
}
