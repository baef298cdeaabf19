/** The table of data kinds: what `data NAME = KIND(…)` in a plan may name, with the options that the language checks. */
import { isAbsolute, resolve } from "node:path";
import type { z } from "zod";
import { cifar10Options, openCifar10 } from "./cifar10.js";
import type { Dataset } from "./dataset.js";
import { generatedOptions, openGenerated } from "./generated.js";
import { idxOptions, openIdx } from "./idx.js";
import { imageFolderOptions, openImageFolder } from "./image-folder.js";
import { npyOptions, npzOptions, openNpy, openNpz } from "./npy.js";

interface DataKind<O> {
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** Options that hold paths: resolved against the plan file's folder. */
  readonly paths: readonly string[];
  open(name: string, options: O): Dataset | Promise<Dataset>;
}

const kind = <O>(k: DataKind<O>): DataKind<O> => k;

export const dataKinds = {
  cifar10: kind({ summary: "CIFAR-10, binary version", options: cifar10Options, paths: ["path"], open: openCifar10 }),
  idx: kind({ summary: "IDX files (MNIST and kin)", options: idxOptions, paths: ["images", "labels"], open: openIdx }),
  image_folder: kind({
    summary: "JPEG, PNG or WebP files with a CSV of labels, or in class folders",
    options: imageFolderOptions,
    paths: ["path"],
    open: openImageFolder,
  }),
  npy: kind({ summary: "One NumPy array, first axis the sample", options: npyOptions, paths: ["path", "labels"], open: openNpy }),
  npz: kind({ summary: "NumPy arrays by input name, first axis the sample", options: npzOptions, paths: ["path"], open: openNpz }),
  generated: kind({ summary: "Data that cec makes: drawn shapes, or normal noise", options: generatedOptions, paths: [], open: openGenerated }),
} as const;

export type DataKindName = keyof typeof dataKinds;

/** Opens a data set. Relative paths are meant from `baseDir`. Options must have passed the kind's schema. */
export async function openData(name: string, kindName: DataKindName, options: Readonly<Record<string, unknown>>, baseDir: string): Promise<Dataset> {
  const k = dataKinds[kindName] as DataKind<unknown>;
  const absolute = Object.fromEntries(
    Object.entries(options).map(([key, v]) => [
      key,
      typeof v === "string" && k.paths.includes(key) && !(kindName === "image_folder" && key === "labels") && !isAbsolute(v)
        ? resolve(baseDir, v)
        : v,
    ]),
  );
  return k.open(name, k.options.parse(absolute));
}

export { batches, contentKey, type Dataset, part, slice } from "./dataset.js";
