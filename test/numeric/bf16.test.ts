/** BF16 as the precision of an artifact: ResNet-20 on CIFAR-10 beside f32 (with CEC_DATA), and a small graph against operands rounded by the reference. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { type Feeds, type Tensor, tensor, toNumbers } from "../../compiler/core/index.js";
import { openCifar10 } from "../../compiler/driver/data/cifar10.js";
import { lowerGraph } from "../../compiler/driver/engine/native.js";
import { loadModel } from "../../compiler/driver/index.js";
import { argmax } from "../../compiler/driver/metrics.js";
import { createSession, nativeIsBuilt, serialize } from "../../runtime-native/ts/index.js";
import { evaluateGraph, graphOf, randomFeeds } from "../unit/passes/support.js";

const built = nativeIsBuilt();
const data = process.env["CEC_DATA"];
const model = data === undefined ? "" : join(data, "models", "resnet20_cifar10.onnx");

it.skipIf(!built)("products round their operands to bf16 and nothing else, depthwise stays f32", async () => {
  const graph = graphOf(
    "in %x : f32[2, 3, 9, 9]\nconst %w : f32[16, 3, 3, 3] = random(1)\nconst %d : f32[16, 1, 3, 3] = random(2)\nconst %f : f32[16, 10] = random(3)\n" +
      "%c = conv %x, %w {pads=[1,1,1,1]}\n%e = conv %c, %d {pads=[1,1,1,1], group=16}\n%p = global_average_pool %e\n%q = flatten %p\n%y = matmul %q, %f\nout %y",
  );
  const { graph: lowered } = await lowerGraph(graph, [], false, { precision: "bf16" });
  const convs = lowered.opsOf("cpu.conv");
  expect(convs.map((op) => op.attrs["precision"])).toEqual(["bf16", undefined]);
  expect(lowered.opsOf("cpu.gemm").map((op) => op.attrs["precision"])).toEqual(["bf16"]);
  const feeds = randomFeeds(graph, 4) as Feeds;
  const session = createSession(serialize(lowered));
  try {
    const [got, rounded, exact] = [
      toNumbers((await session.run(feeds))["y"] as Tensor),
      toNumbers((await evaluateGraph(lowered, feeds))["y"] as Tensor),
      toNumbers((await evaluateGraph(graph, feeds))["y"] as Tensor),
    ];
    const top = Math.max(...exact.map(Math.abs));
    rounded.forEach((v, i) => {
      // A sum in another order may round an operand of the next product the other way: 2^-9 of one of many.
      expect(Math.abs((got[i] as number) - v) / top).toBeLessThan(1e-3);
      expect(Math.abs((got[i] as number) - (exact[i] as number)) / top).toBeLessThan(2 ** -6);
    });
    expect(got).not.toEqual(exact);
  } finally {
    session.dispose();
  }
});

const IMAGES = 512;

it.skipIf(!built || !existsSync(model))("ResNet-20 in bf16 keeps its predictions on CIFAR-10", async () => {
  const { graph } = await loadModel(model);
  const images = openCifar10("test", {
    path: join(data as string, "cifar10"),
    split: "test",
    ...{ input: graph.inputs[0]?.name ?? "", layout: "nchw", mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  } as Parameters<typeof openCifar10>[1]);
  const count = Math.min(IMAGES, images.size);
  const predicted = async (precision: "f32" | "bf16"): Promise<number[]> => {
    const session = createSession(serialize((await lowerGraph(graph, [], false, { precision })).graph), { threads: 1 });
    const out: number[] = [];
    try {
      for (let at = 0; at < count; at += 64) {
        const { arrays } = await images.read(at, Math.min(64, count - at));
        const [input, x] = Object.entries(arrays)[0] as [string, Tensor];
        const logits = Object.values(await session.run({ [input]: tensor("f32", x.dims, x.data as Float32Array) }))[0] as Tensor;
        const v = toNumbers(logits);
        const classes = logits.dims[1] as number;
        for (let i = 0; i < (logits.dims[0] as number); i++) out.push(argmax(v, i * classes, classes));
      }
    } finally {
      session.dispose();
    }
    return out;
  };
  const [f32, bf16] = [await predicted("f32"), await predicted("bf16")];
  const labels: number[] = [];
  for (let at = 0; at < count; at += 64) labels.push(...((await images.read(at, Math.min(64, count - at))).labels as Int32Array));
  const right = (p: readonly number[]): number => (100 * p.filter((v, i) => v === labels[i]).length) / count;
  const flips = f32.filter((v, i) => v !== bf16[i]).length;
  process.stderr.write(`ResNet-20, ${count} images: top-1 ${right(f32).toFixed(2)} in f32, ${right(bf16).toFixed(2)} in bf16, ${flips} flips\n`);
  expect(Math.abs(right(f32) - right(bf16))).toBeLessThan(0.6);
  expect(flips).toBeLessThan(6);
});
