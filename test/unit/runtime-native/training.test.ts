/** States that a program updates in place. */
import { expect, it } from "vitest";
import { fromNumbers, graphBuilder, type Tensor, toNumbers } from "../../../compiler/core/index.js";
import { createTrainingSession, nativeIsBuilt, serialize } from "../../../runtime-native/ts/index.js";

const built = nativeIsBuilt();
const v = (...values: number[]): Tensor => fromNumbers("f32", [values.length], values);

it.skipIf(!built)("a state that is still read after its update is updated at the end", async () => {
  const b = graphBuilder("g");
  const [s, t, x] = [b.input("s", "f32", [3]), b.input("t", "f32", [3]), b.input("x", "f32", ["n"])];
  b.output("s.next", b.value("add", [s, t]));
  // Both read s after the op that gives its next value.
  b.output("t.next", b.value("mul", [t, s]));
  b.output("y", b.value("add", [x, s]));
  b.graph.level = "lowered";
  const session = createTrainingSession(serialize(b.graph), [
    { input: "s", output: "s.next", tensor: v(1, 2, 3) },
    { input: "t", output: "t.next", tensor: v(2, 3, 4) },
  ]);
  let [a, c] = [
    [1, 2, 3],
    [2, 3, 4],
  ];
  for (let i = 0; i < 3; i++) {
    const { y } = await session.step({ x: v(10, 10, 10) });
    expect([...toNumbers(y as Tensor)]).toEqual(a.map((e) => e + 10));
    [a, c] = [a.map((e, k) => e + (c[k] as number)), c.map((e, k) => e * (a[k] as number))];
    expect([...toNumbers(session.states.get("s") as Tensor)]).toEqual(a);
    expect([...toNumbers(session.states.get("t") as Tensor)]).toEqual(c);
  }
  session.dispose();
});

it.skipIf(!built)("names the first tensor that is not finite, and leaves the states as they were", async () => {
  const b = graphBuilder("g");
  const [s, x] = [b.input("s", "f32", [2]), b.input("x", "f32", [2])];
  const log = b.value("log", [x], {}, "logarithm");
  b.output("s.next", b.value("add", [s, log]));
  b.graph.level = "lowered";
  const session = createTrainingSession(serialize(b.graph), [{ input: "s", output: "s.next", tensor: v(1, 2) }]);
  expect(await session.firstNonFinite({ x: v(1, 2) })).toBeNull();
  expect(await session.firstNonFinite({ x: v(1, -2) })).toBe("logarithm");
  expect([...toNumbers(session.states.get("s") as Tensor)]).toEqual([1, 2]);
  session.dispose();
});

it.skipIf(!built)("updates that name nothing, or twice the same, are refused", () => {
  const b = graphBuilder("g");
  const s = b.input("s", "f32", [2]);
  b.output("a", b.value("neg", [s]));
  b.output("b", s);
  b.graph.level = "lowered";
  const open = (input: string, output: string) => createTrainingSession(serialize(b.graph), [{ input, output, tensor: v(1, 2) }]);
  expect(() => open("q", "a")).toThrow(/CEC6007: the program has no input "q"/);
  expect(() => open("s", "q")).toThrow(/CEC6007: the program has no output "q"/);
  expect(() => open("s", "b")).toThrow(/CEC6007: the output "b" is no result of an op/);
});
