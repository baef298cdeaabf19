/** Models by path: ONNX files, IR text, and models of the language (`FILE.cplan#NAME`). */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, extname } from "node:path";
import type { CheckedFile, Literal } from "../../dsl/index.js";
import {
  blobsOf,
  CecError,
  type Diagnostic,
  exportOnnx,
  fail,
  type Graph,
  graphBuilder,
  importOnnxFile,
  isElementType,
  needsExternalData,
  parseIrFile,
  unpackBlobs,
  type Value,
} from "../core/index.js";
import { openPlan, throwErrors } from "./language.js";
import { type Layer, layerContext } from "./layers/index.js";

export interface LoadedModel {
  readonly graph: Graph;
  /** As the user named it. */
  readonly path: string;
  readonly format: "onnx" | "cir" | "model";
  /** Bytes that a user ships: the ONNX file with its external data, or what the model's export takes. */
  readonly bytes: number;
}

/** Bytes of weights in files of their own. */
function externalBytes(graph: Graph, modelPath: string): number {
  const files = new Map<string, number>();
  for (const { file } of blobsOf(graph).values()) if (file !== undefined && file !== modelPath) files.set(file, statSync(file).size);
  return [...files.values()].reduce((a, b) => a + b, 0);
}

export const onnxBytes = (graph: Graph): number => {
  const { byteLength, external } = exportOnnx(graph, needsExternalData(graph) ? { externalData: "weights" } : {});
  const last = external?.parts.at(-1);
  return byteLength + (last === undefined ? 0 : last.offset + last.blob.byteLength);
};

/** IR text with its constants, which stand in `NAME.blobs` beside it. */
function loadIr(path: string): Graph {
  const text = readText(path);
  const store = `${path.replace(/\.cir$/, "")}.blobs`;
  const blobs = existsSync(store) ? unpackBlobs(readFileSync(store), store) : undefined;
  return parseIrFile(text, { file: path, ...(blobs === undefined ? {} : { blobs }) }).graph;
}

export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    return fail("CEC1002", { message: `cannot read ${path}`, why: (error as Error).message });
  }
}

/**
 * Loads a model; those of the language may have arguments: `models/resnet20.cplan#resnet20(blocks: 18)`.
 * @throws CecError what the readers reject; CEC1002 for a file of no known kind
 */
export async function loadModel(path: string, set: Readonly<Record<string, string>> = {}): Promise<LoadedModel> {
  const [file = "", call] = path.split("#");
  switch (extname(file).toLowerCase()) {
    case ".onnx": {
      const graph = importOnnxFile(file);
      return { graph, path, format: "onnx", bytes: statSync(file).size + externalBytes(graph, file) };
    }
    case ".cir": {
      const graph = loadIr(file);
      return { graph, path, format: "cir", bytes: onnxBytes(graph) };
    }
    case ".cplan": {
      const checked = await openPlan(file, set);
      throwErrors(checked);
      const { name, args } = modelCall(call);
      const names = [...checked.models.keys()];
      const wanted = name ?? (names.length === 1 ? names[0] : undefined);
      if (wanted === undefined || !checked.models.has(wanted)) {
        return fail("CEC2012", {
          message: name === undefined ? `${file} has ${names.length} models` : `${file} has no model \`${name}\``,
          why: names.length === 0 ? "it declares none" : `it declares ${names.join(", ")}`,
          help: `name one: ${file}#${names[0] ?? "NAME"}`,
        });
      }
      const graph = await elaborateModel(checked, wanted, args, 0);
      return modelOf(graph, path);
    }
    default:
      return fail("CEC1002", {
        message: `${path} is no model that cec reads`,
        help:
          extname(file).toLowerCase() === ".cecb"
            ? "a .cecb is run by Session (docs/guides/inference.md); cec inspect --memory and cec types read it"
            : "models are .onnx files, .cir files, and FILE.cplan#MODEL",
      });
  }
}

/** A model of the language. Its bytes are counted when they are asked for: that draws its weights. */
export const modelOf = (graph: Graph, path: string): LoadedModel => ({
  graph,
  path,
  format: "model",
  get bytes() {
    return onnxBytes(graph);
  },
});

/** A model's name, with arguments where they are given: `resnet20`, `resnet20(blocks: 18)`. */
function modelCall(text: string | undefined): { readonly name: string | undefined; readonly args: Readonly<Record<string, Literal>> } {
  const [, name, inside] = /^([^(]*)(?:\((.*)\))?$/s.exec(text ?? "") ?? fail("CEC1002", { message: `\`${text}\` names no model`, help: callHelp });
  const args: Record<string, Literal> = {};
  for (const part of (inside ?? "").split(",").filter((s) => s.trim() !== "")) {
    const [, key, value] =
      /^\s*(\w+)\s*:\s*(\S+)\s*$/.exec(part) ?? fail("CEC1002", { message: `\`${part.trim()}\` is no argument of a model`, help: callHelp });
    try {
      args[key as string] = JSON.parse(value as string) as Literal;
    } catch {
      args[key as string] = value as string;
    }
  }
  return { name: name === "" ? undefined : name, args };
}

const callHelp = "as in 'FILE.cplan#resnet20(blocks: 18)'";

/** The same IR as from an ONNX file, with weights drawn from the seed. */
export async function elaborateModel(file: CheckedFile, name: string, args: Readonly<Record<string, Literal>>, seed: number): Promise<Graph> {
  const { elaborate } = await import("../../dsl/index.js");
  const b = graphBuilder(name);
  const diagnostics: Diagnostic[] = [];
  const ok = elaborate<Value>(
    file,
    name,
    args,
    {
      input(input, type, dims) {
        if (!isElementType(type)) return fail("CEC2011", { message: `\`${type}\` is no element type`, help: "such as f32, i64, u8, bool" });
        return b.input(input, type, dims);
      },
      layer(declaration, inputs, options, layerName, span) {
        const first = b.graph.ops.length;
        const result = (declaration as Layer).build(layerContext(b, layerName, seed), inputs, options);
        for (const op of b.graph.ops.slice(first))
          (op as { loc?: object }).loc = { file: span.file, line: span.start.line, column: span.start.column };
        return Array.isArray(result) ? (result as Value[]) : [result as Value];
      },
      output: (output, value) => b.output(output, value),
      shape: (v) => (v.type.kind === "tensor" ? v.type.shape : null),
    },
    (d) => diagnostics.push(d),
  );
  if (!ok) throw new CecError(diagnostics);
  b.graph.meta = { producer: "cec" };
  return b.graph;
}

/** The folder that relative paths of a model's companions are meant from. */
export const folderOf = (path: string): string => dirname(path.split("#")[0] ?? path);
