/** Training over one spatial axis, which the engine runs as two, against the reference evaluation; over three it is refused. */
import { expect, it } from "vitest";
import { fromNumbers, randomFrom, type Tensor, toNumbers, zeros } from "../../../../compiler/core/index.js";
import { compileTraining } from "../../../../compiler/driver/train/compile.js";
import { initialStates, statesOf } from "../../../../passes/index.js";
import { graphOf, runPasses } from "../../passes/support.js";
import { evaluate, outputOf, relativeError } from "../../passes/train/gradient-check.js";

const random = randomFrom(3);
const drawn = (...dims: number[]): Tensor =>
  fromNumbers(
    "f32",
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random() - 1),
  );

it("a step over one spatial axis gives what the reference gives", async () => {
  const graph = graphOf(`
    in %x : f32[N, 4, 23]
    const %w : f32[8, 2, 5] = random(1, -1, 1)
    const %b : f32[8] = random(2, -1, 1)
    const %scale : f32[8] = random(3, 0.5, 1)
    const %bias : f32[8] = random(4, -1, 1)
    const %mean : f32[8] = splat(0)
    const %var : f32[8] = splat(1)
    const %t : f32[8, 3, 4] = random(5, -1, 1)
    const %fc : f32[3, 3] = random(6, -1, 1)
    %1 = conv %x, %w, %b {group=2, pads=[3, 1], strides=[2], dilations=[1]} : f32[N, 8, 12]
    %2 = batch_normalization %1, %scale, %bias, %mean, %var : f32[N, 8, 12]
    %3 = relu %2 : f32[N, 8, 12]
    %4 = max_pool %3 {kernel_shape=[3], strides=[2], pads=[1, 0]} : f32[N, 8, 6]
    %5 = conv_transpose %4, %t {strides=[2], pads=[1, 1]} : f32[N, 3, 12]
    %6 = global_average_pool %5 : f32[N, 3, 1]
    %7 = flatten %6 : f32[N, 3]
    %8 = matmul %7, %fc : f32[N, 3]
    out %8`);
  await runPasses(graph, "add-loss, autodiff");
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  await runPasses(graph, "apply-optimizer {momentum=0}");
  const feeds: Record<string, Tensor> = {
    x: drawn(5, 4, 23),
    labels: fromNumbers("i64", [5], [0, 2, 1, 1, 0]),
    learning_rate: fromNumbers("f32", [], [0.5]),
  };
  const states = statesOf(graph);
  const of = (name: string): Tensor => {
    const type = graph.value(name)?.type;
    return initial.get(name) ?? (type?.kind === "tensor" ? zeros(type.elem, type.shape as number[]) : feeds["x"]!);
  };
  const at = evaluate(graph, new Map([...Object.entries(feeds), ...states.map((s) => [s.input, of(s.input)] as const)]));
  const { session } = await compileTraining(graph, initial);
  const out = await session.step(feeds);
  expect(relativeError(toNumbers(out["loss"] as Tensor), toNumbers(at(outputOf(graph, "loss"))))).toBeLessThan(1e-5);
  expect(states.map((s) => s.input)).toEqual(expect.arrayContaining(["w", "b", "scale", "bias", "t", "fc"]));
  for (const s of states)
    expect(relativeError(toNumbers(session.states.get(s.input) as Tensor), toNumbers(at(outputOf(graph, s.output)))), s.input).toBeLessThan(1e-4);
  session.dispose();
});

it("refuses three spatial axes with the op's name", async () => {
  const graph = graphOf(`
    in %x : f32[N, 2, 4, 4, 4]
    const %w : f32[3, 2, 3, 3, 3] = random(1, -1, 1)
    %1 = conv %x, %w : f32[N, 3, 2, 2, 2]
    %2 = reduce_mean %1 {keepdims=0} : f32[]
    out %2`);
  graph.ops.find((op) => op.kind === "conv")!.name = "volume";
  await runPasses(graph, 'autodiff {loss="2"}');
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  await runPasses(graph, "apply-optimizer");
  await expect(compileTraining(graph, initial)).rejects.toThrow(/CEC4013: "volume" is not trained here/);
});
