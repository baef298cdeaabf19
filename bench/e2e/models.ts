/** The real models that the benches of INT8 share, and their data as models/data.cplan declares it. They need CEC_DATA. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openRef } from "../../compiler/driver/build/index.js";
import type { Dataset } from "../../compiler/driver/data/index.js";
import { encodeNpy } from "../../compiler/driver/data/npy.js";
import { commandLine, openPlan } from "../../compiler/driver/language.js";

export interface BenchModel {
  readonly name: string;
  readonly title: string;
  /** Path of the ONNX file. */
  readonly file: string;
  /** Sets of models/data.cplan: what calibration sees, and what no tool has seen. */
  readonly calibrate: string;
  readonly test: string;
  /** Samples of `calibrate`; `few` for tools that hold every activation (ONNX Runtime's histograms: 100 images of ImageNet take 6 GiB already). */
  readonly samples: number;
  readonly few: number;
}

const at = (file: string): string => join(process.env["CEC_DATA"] ?? "", "models", file);
const cifar = { calibrate: "cifar10.train", test: "cifar10.test", samples: 512, few: 512 };

export const models: readonly BenchModel[] = [
  { name: "resnet20", title: "ResNet-20", file: at("resnet20_cifar10.onnx"), ...cifar },
  { name: "resnet56", title: "ResNet-56", file: at("resnet56_cifar10.onnx"), ...cifar },
  {
    name: "mobilenetv2",
    title: "MobileNetV2",
    file: at("mobilenetv2_imagenet.onnx"),
    calibrate: "imagenet_tf.calibrate",
    test: "imagenet_tf.val",
    samples: 300,
    few: 100,
  },
  {
    name: "squeezenet",
    title: "SqueezeNet",
    file: at("squeezenet1.1_imagenet.onnx"),
    calibrate: "imagenet.calibrate",
    test: "imagenet.val",
    samples: 300,
    few: 100,
  },
];

/** The first `count` samples of a set. */
export const openSet = async (set: string, count = Number.POSITIVE_INFINITY): Promise<Dataset> =>
  openRef(await openPlan("models/data.cplan"), { name: set, slice: [0, count], span: commandLine });

/** The same as a .npy file, with labels beside it where there are some; written once. */
export async function writeSet(set: string, path: string, count?: number): Promise<void> {
  if (existsSync(path)) return;
  const all = await openSet(set, count);
  const { arrays, labels } = await all.read(0, all.size);
  writeFileSync(path, encodeNpy(Object.values(arrays)[0] as never));
  if (labels !== null) writeFileSync(`${path}.labels.npy`, encodeNpy({ type: "i32", dims: [labels.length], data: labels }));
}
