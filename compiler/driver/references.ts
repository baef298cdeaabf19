/** Data as command lines name it: `FILE.cplan#NAME[0:512]`, an image folder, a .npy or .npz file. */
import { existsSync, statSync } from "node:fs";
import { basename, extname, resolve } from "node:path";
import type { CheckedData } from "../../dsl/index.js";
import { fail, type Graph, suggest } from "../core/index.js";
import type { DataKindName } from "./data/index.js";
import { type Dataset, openData, slice } from "./data/index.js";
import { commandLine, openPlan, throwErrors } from "./language.js";

export interface ImageOptions {
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** Height and width that a model with one image input takes. */
function imageSize(graph: Graph): readonly [number, number] | null {
  const t = graph.inputs[0]?.type;
  if (graph.inputs.length !== 1 || t?.kind !== "tensor" || t.shape?.length !== 4) return null;
  const [h, w] = [t.shape[2], t.shape[3]];
  return typeof h === "number" && typeof w === "number" ? [h, w] : null;
}

/** A set that is declared nowhere: what kind it is follows from the path. */
export function dataOfPath(path: string, graph: Graph, images: ImageOptions): CheckedData {
  const made = (kind: DataKindName, options: Readonly<Record<string, unknown>>): CheckedData => ({
    name: basename(path),
    kind,
    options,
    baseDir: ".",
    span: commandLine,
  });
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined)
    return fail("CEC5001", { message: `there is no data at ${path}`, help: "give FILE.cplan#NAME, a folder of images, or a .npy or .npz file" });
  if (found.isDirectory()) {
    const size = imageSize(graph);
    if (size === null)
      return fail("CEC5005", {
        message: `${path} is a folder of images, and the model's input is no image of known size`,
        help: "declare the data in a plan file, with resize and crop, or give a .npy file",
      });
    return made("image_folder", {
      path: resolve(path),
      resize: Math.max(...size),
      crop: size,
      ...(images.mean === undefined ? {} : { mean: images.mean }),
      ...(images.std === undefined ? {} : { std: images.std }),
    });
  }
  const ending = extname(path).toLowerCase();
  if (ending === ".npy" || ending === ".npz") return made(ending.slice(1) as DataKindName, { path: resolve(path) });
  return fail("CEC5002", { message: `${path} is no data that cec reads`, help: "give FILE.cplan#NAME, a folder of images, or a .npy or .npz file" });
}

/** `FILE.cplan#NAME[a:b]`, taken apart; `null` for anything else. */
export function planReference(
  text: string,
): { readonly file: string; readonly name: string; readonly slice: readonly [number, number] | null } | null {
  const m = /^(.+\.cplan)#([A-Za-z_][\w.]*)(?:\[(\d*):(\d*)\])?$/.exec(text);
  if (m === null) return null;
  const [, file = "", name = "", from, to] = m;
  return {
    file,
    name,
    slice: from === undefined ? null : [from === "" ? 0 : Number(from), to === undefined || to === "" ? Number.POSITIVE_INFINITY : Number(to)],
  };
}

/** The declaration that a reference means. */
export async function resolveData(
  text: string,
  graph: Graph,
  images: ImageOptions = {},
): Promise<{ readonly data: CheckedData; readonly slice: readonly [number, number] | null }> {
  const ref = planReference(text);
  if (ref === null) {
    if (/\.cplan$/.test(text) && existsSync(text)) {
      const names = [...(await openPlan(text)).data.keys()];
      return fail("CEC1001", { message: `${text} holds ${names.length} data sets: name one`, help: `such as ${text}#${names[0] ?? "NAME"}` });
    }
    return { data: dataOfPath(text, graph, images), slice: null };
  }
  const file = await openPlan(ref.file);
  throwErrors(file);
  const data = file.data.get(ref.name);
  if (data === undefined)
    return fail("CEC2012", {
      message: `${ref.file} has no data set \`${ref.name}\``,
      help: suggest(ref.name, file.data.keys()) || `it has ${[...file.data.keys()].join(", ") || "none"}`,
    });
  return { data, slice: ref.slice };
}

export async function openReference(text: string, graph: Graph, images: ImageOptions = {}): Promise<Dataset> {
  const { data, slice: range } = await resolveData(text, graph, images);
  const opened = await openData(data.name, data.kind as DataKindName, data.options, data.baseDir);
  return range === null ? opened : slice(opened, ...range);
}
