/** ResNets of 20, 56 and 110 layers for the depth experiment. */

import { blobOf, constantTensor, f32, type Graph, type Op, type Tensor, toNumbers, type Value } from "../../compiler/core/index.js";
import { openPlan } from "../../compiler/driver/index.js";
import { elaborateModel, loadModel } from "../../compiler/driver/model.js";

const models = `${process.env["CEC_DATA"]}/models`;

/** Convolutions and BatchNorms in graph order, which is: stem, then two of each per block, three stages of equal length. */
const pairs = (g: Graph): (readonly [conv: Op, norm: Op])[] => g.opsOf("conv").map((conv) => [conv, g.users(conv.outputs[0] as Value)[0] as Op]);

const set = (g: Graph, op: Op, i: number, t: Tensor): void => {
  const v = op.inputs[i] as Value;
  g.setInput(op, i, g.addConstant(`${v.name}.from56`, v.type, blobOf(t), op));
};
const scaled = (t: Tensor, by: number): Tensor =>
  f32(
    t.dims,
    toNumbers(t).map((v) => v * by),
  );

/**
 * ResNet-110 in the language (`models/resnet20.cplan` with 18 blocks a stage), with weights by a rule, as no trained ones are here: every block takes over the
 * weights and statistics of a block of the trained ResNet-56, in order; a block that is used k times has its residual branch scaled by 1/k. The network is
 * then a finer step of the same flow (Chang et al. 2018, "Multi-level Residual Networks from Dynamical Systems View").
 */
async function resnet110(): Promise<Graph> {
  const file = await openPlan("models/resnet20.cplan");
  const g = await elaborateModel(file, "resnet20", { blocks: 18 }, 0);
  const { graph: trained } = await loadModel(`${models}/resnet56_cifar10.onnx`);
  const [to, from] = [pairs(g), pairs(trained)];
  // The first block of a stage changes the shape and is used once; the other 17 share 8 of ResNet-56.
  const sourceOf = (block: number): number => (block === 0 ? 0 : 1 + Math.floor(((block - 1) * 8) / 17));
  const uses = new Map<number, number>();
  for (let b = 0; b < 18; b++) uses.set(sourceOf(b), (uses.get(sourceOf(b)) ?? 0) + 1);
  to.forEach(([conv, norm], i) => {
    const [stage, block, second] = i === 0 ? [0, 0, 0] : [Math.floor((i - 1) / 36), Math.floor(((i - 1) % 36) / 2), (i - 1) % 2];
    const source = i === 0 ? from[0] : from[1 + stage * 18 + 2 * sourceOf(block) + second];
    if (source === undefined) throw new Error("the networks do not have the expected blocks");
    const by = i > 0 && second === 1 ? 1 / (uses.get(sourceOf(block)) as number) : 1;
    set(g, conv, 1, constantTensor(source[0].inputs[1]) as Tensor);
    for (const k of [1, 2, 3, 4]) {
      const t = constantTensor(source[1].inputs[k]) as Tensor;
      set(g, norm, k, k <= 2 ? scaled(t, by) : t);
    }
  });
  const [ours, theirs] = [g.opsOf("gemm")[0] as Op, trained.opsOf("gemm")[0] as Op];
  set(g, ours, 1, constantTensor(theirs.inputs[1]) as Tensor);
  set(g, ours, 2, constantTensor(theirs.inputs[2]) as Tensor);
  return g;
}

export const depths: readonly { readonly layers: number; readonly load: () => Promise<Graph> }[] = [
  { layers: 20, load: async () => (await loadModel(`${models}/resnet20_cifar10.onnx`)).graph },
  { layers: 56, load: async () => (await loadModel(`${models}/resnet56_cifar10.onnx`)).graph },
  { layers: 110, load: resnet110 },
];
