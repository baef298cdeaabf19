/** Mixed precision: what underflows without loss scaling trains with it; what overflows changes nothing. */
import { expect, it } from "vitest";
import { fromNumbers, randomFrom, runPipeline, type Tensor, toNumbers } from "../../../../compiler/core/index.js";
import { compileTraining } from "../../../../compiler/driver/train/compile.js";
import { initialStates } from "../../../../passes/index.js";
import { graphOf, runPasses } from "../../passes/support.js";

const N = 16;
const random = randomFrom(5);
const normal = (n: number): number[] => Array.from({ length: n }, () => 2 * random() - 1);
const x = fromNumbers("f32", [N, 6], normal(N * 6));
// What a fixed net gives: there is something to learn.
const wanted = fromNumbers(
  "f32",
  [N, 4],
  Array.from({ length: N * 4 }, (_, i) => Math.tanh(toNumbers(x)[(i * 7) % (N * 6)] as number)),
);

/** A net whose loss is so small that its gradients are below 2^-25, half the least f16. */
async function session(scale: number, more = "", precision: "f32" | "f16" = "f16") {
  const graph = graphOf(`
    in %x : f32[N, 6]
    in %target : f32[N, 4]
    const %w : f32[6, 16] = random(1, -1, 1)
    const %v : f32[16, 4] = random(2, -1, 1)
    const %small : f32[] = splat(1e-7)
    %h = matmul %x, %w : f32[N, 16]
    %a = tanh %h : f32[N, 16]
    %y = matmul %a, %v : f32[N, 4]
    %d = sub %y, %target : f32[N, 4]
    %s = mul %d, %d : f32[N, 4]
    %m = reduce_mean %s {keepdims=0} : f32[]
    %loss = mul %m, %small : f32[]
    out %loss`);
  await runPasses(graph, `autodiff {parameters=["w", "v"], scaled=${precision === "f16"}}`);
  const initial = new Map(initialStates(graph).map((s) => [s.name, s.tensor]));
  initial.set("loss_scale", fromNumbers("f32", [], [scale]));
  await runPasses(graph, `apply-optimizer {momentum=0.9${more}}`);
  const made = await compileTraining(graph, initial, { precision });
  const step = async (): Promise<Record<string, number>> => {
    const out = await made.session.step({ x, target: wanted, learning_rate: fromNumbers("f32", [], [1e6]) });
    return Object.fromEntries(Object.entries(out).map(([k, t]) => [k, toNumbers(t)[0] as number]));
  };
  const state = (name: string): number[] => [...toNumbers(made.session.states.get(name) as Tensor)];
  return { ...made, step, state };
}

it("gradients that become 0 in f16 are seen, and the loss scale saves them", async () => {
  const plain = await session(1);
  const [w, v] = [plain.state("w"), plain.state("v")];
  const first = await plain.step();
  expect(first["gradient_underflow"]).toBeGreaterThan(0.99);
  for (let i = 0; i < 50; i++) await plain.step();
  expect(plain.state("w")).toEqual(w);
  expect(plain.state("v")).toEqual(v);
  const scaled = await session(65536);
  const [exact, start] = [await session(1, "", "f32"), await scaled.step()];
  expect(start["gradient_underflow"]).toBeLessThan(0.01);
  expect((await exact.step())["gradient_norm"]! / (start["gradient_norm"] as number)).toBeCloseTo(1, 2);
  let [half, full] = [start, start];
  for (let i = 0; i < 200; i++) [half, full] = [await scaled.step(), await exact.step()];
  expect(half["loss"]! / start["loss"]!).toBeLessThan(0.05);
  expect(half["loss"]! / full["loss"]!).toBeLessThan(1.2);
});

it("an overflow skips the step bit for bit and halves the scale; good steps double it", async () => {
  const s = await session(2 ** 80, ", scale_growth=3");
  const before = ["w", "v", "w.velocity", "v.velocity"].map(s.state);
  const out = await s.step();
  expect(out["gradient_norm"]).not.toBeLessThan(Number.POSITIVE_INFINITY);
  expect(["w", "v", "w.velocity", "v.velocity"].map(s.state)).toEqual(before);
  expect(s.state("loss_scale")).toEqual([2 ** 79]);
  let skipped = 1;
  while (!Number.isFinite((await s.step())["gradient_norm"])) skipped++;
  // Where the greatest gradient is about 1e-8 · 2^42.
  expect(skipped).toBeGreaterThan(30);
  expect(skipped).toBeLessThan(55);
  expect(s.state("loss_scale")).toEqual([2 ** (80 - skipped)]);
  expect(s.state("loss_scale.good_steps")).toEqual([1]);
  expect(s.state("w")).not.toEqual(before[0]);
  await s.step();
  expect(s.state("loss_scale.good_steps")).toEqual([2]);
  const third = await s.step();
  expect(Number.isFinite(third["gradient_norm"])).toBe(true);
  expect(s.state("loss_scale")).toEqual([2 ** (81 - skipped)]);
  expect(s.state("loss_scale.good_steps")).toEqual([0]);
});

it("keeps what backward reads as f16, and each reader widens for itself", async () => {
  const { lowered } = await session(1);
  const casts = lowered.opsOf("cast").map((op) => op.attrs["to"]);
  // tanh of h is read by the gradients of matmul and of tanh, the difference by that of its square, the square for its shape.
  expect(casts.filter((t) => t === "f16")).toHaveLength(3);
  expect(lowered.opsOf("train.round_half").length).toBeGreaterThan(3);
  const loss = lowered.ops.indexOf(lowered.outputs.find((o) => o.name === "loss")?.value.producer as never);
  const batched = lowered.ops.slice(0, loss).flatMap((op) => (op.kind === "constant" ? [] : op.outputs));
  const late = batched.filter((v) => v.type.kind === "tensor" && v.type.elem === "f32" && (v.type.shape?.length ?? 0) > 1);
  expect(late.filter((v) => lowered.users(v).some((u) => lowered.ops.indexOf(u) > loss))).toEqual([]);
});

it("says what it needs", async () => {
  const graph = graphOf("in %x : f32[2]\n out %x", "lowered");
  const { findPass } = await import("../../../../passes/index.js");
  await expect(runPipeline(graph, [{ pass: findPass("half_precision") as never, options: {} }])).rejects.toThrow(/CEC4015/);
});
