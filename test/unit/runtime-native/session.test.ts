/** Programs, sessions and observers through the addon: errors are coded, hostile feeds are refused, nothing depends on order or threads. */
import { expect, it } from "vitest";
import { CecError } from "../../../compiler/core/diagnostics/index.js";
import type { Tensor } from "../../../compiler/core/ir/tensor.js";
import { randomFrom } from "../../../compiler/core/random.js";
import {
  cpuInfo,
  createObserver,
  createSession,
  loadProgram,
  nativeIsBuilt,
  type SessionOptions,
  serialize,
} from "../../../runtime-native/ts/index.js";
import { ints, t } from "../core/ops/support.js";
import { filled, graphOf, native } from "./support.js";

const built = nativeIsBuilt();

async function codeOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof CecError)) throw error;
    return error.diagnostics[0]?.code ?? "";
  }
  return "";
}

const x = t("f32", [2, 3], [1, -2, 3, -4, 5, -6]);
const program = (): Uint8Array => serialize(graphOf({ kind: "relu", operands: [x] }));

it.skipIf(!built)("feeds of a wrong name, type, shape or length are refused and the session goes on", async () => {
  const session = createSession(program());
  const hostile: [string, unknown][] = [
    ["missing", {}],
    ["unknown", { x0: x, more: x }],
    ["type", { x0: { ...x, type: "i32" } }],
    ["unknown type", { x0: { ...x, type: "f128" } }],
    ["rank", { x0: { ...x, dims: [6] } }],
    ["dimension", { x0: { ...x, dims: [3, 2] } }],
    ["negative", { x0: { ...x, dims: [-2, -3] } }],
    ["fraction", { x0: { ...x, dims: [2.5, 3] } }],
    ["not a number", { x0: { ...x, dims: [Number.NaN, 3] } }],
    ["huge", { x0: { ...x, dims: [2 ** 52, 2 ** 52] } }],
    ["nine dimensions", { x0: { ...x, dims: [1, 1, 1, 1, 1, 1, 1, 2, 3] } }],
    ["text", { x0: { ...x, dims: ["2", "3"] } }],
    ["no dims", { x0: { ...x, dims: null } }],
    ["short", { x0: { ...x, data: new Float32Array(5) } }],
    ["long", { x0: { ...x, data: new Float32Array(7) } }],
    ["empty", { x0: { ...x, data: new Float32Array(0) } }],
    ["plain list", { x0: { ...x, data: [1, 2, 3, 4, 5, 6] } }],
    ["nothing", { x0: { ...x, data: undefined } }],
    ["null", { x0: null }],
    ["number", { x0: 7 }],
  ];
  for (const [what, feeds] of hostile) {
    const code = await codeOf(() => session.run(feeds as Record<string, Tensor>)).catch((error: unknown) => `${what}: ${error}`);
    expect([what, code]).toEqual([what, expect.stringMatching(/^CEC600[457]$/)]);
  }
  expect(Array.from((await session.run({ x0: x }))["y0"]?.data as Float32Array)).toEqual([1, 0, 3, 0, 5, 0]);
  session.dispose();
});

it.skipIf(!built)("NaN and infinities are data like others", async () => {
  const values = t("f32", [4], [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1]);
  for (const kind of ["relu", "sigmoid", "softmax", "exp", "gelu", "dynamic_quantize_linear"]) {
    const outputs = kind === "dynamic_quantize_linear" ? 3 : 1;
    expect((await native({ kind, operands: [values], outputs })).length).toBe(outputs);
  }
});

it.skipIf(!built)("feeds that are views into a larger buffer are read from their offset", async () => {
  const buffer = new Float32Array(20).map((_, i) => i);
  const session = createSession(program());
  const out = await session.run({ x0: { type: "f32", dims: [2, 3], data: buffer.subarray(7, 13) } });
  expect(Array.from(out["y0"]?.data as Float32Array)).toEqual([7, 8, 9, 10, 11, 12]);
  session.dispose();
});

it.skipIf(!built)("runs that are started together take turns and each gets its own result", async () => {
  const session = createSession(program(), { threads: 2 });
  const feeds = Array.from({ length: 40 }, (_, i) => filled("f32", [2, 3], i + 1));
  const results = await Promise.all(feeds.map((x0) => session.run({ x0 })));
  results.forEach((r, i) => {
    expect(Array.from(r["y0"]?.data as Float32Array)).toEqual(Array.from(feeds[i]?.data as Float32Array, (v) => Math.max(v, 0)));
  });
  session.dispose();
});

it.skipIf(!built)("a disposed session, wrong options and wrong objects are refused with their code", async () => {
  const session = createSession(program());
  const running = session.run({ x0: x });
  session.dispose();
  session.dispose();
  expect((await running)["y0"]?.dims).toEqual([2, 3]);
  expect(await codeOf(() => session.run({ x0: x }))).toBe("CEC6007");
  for (const threads of [0, -1, 1.5, 257, Number.NaN, 1e9]) expect(await codeOf(() => createSession(program(), { threads }))).toBe("CEC6007");
  expect(await codeOf(() => createSession(program(), { isa: "sse9" } as unknown as SessionOptions))).toBe("CEC6007");
  expect(await codeOf(() => createSession(program(), { keep: ["nobody"] }))).toBe("CEC6007");
  const other = loadProgram(program());
  for (const bins of [1, -1, 2 ** 21, Number.NaN]) expect(await codeOf(() => createObserver(other, ["x0"], { bins }))).toBe("CEC6007");
  expect(await codeOf(() => createObserver(other, ["nobody"]))).toBe("CEC6007");
  const alive = createSession(other);
  expect(await codeOf(() => alive.observe({ x0: x }, { read: () => ({}) }))).toBe("CEC6007");
  alive.dispose();
});

it.skipIf(!built)("mutated program files are refused with a code, or run", async () => {
  const bytes = program();
  const next = randomFrom(5);
  for (let n = 0; n < bytes.length; n += 3) expect(await codeOf(() => loadProgram(bytes.slice(0, n)))).toBe("CEC6001");
  for (let round = 0; round < 400; round++) {
    const changed = bytes.slice();
    changed[Math.floor(next() * changed.length)] = Math.floor(next() * 256);
    await codeOf(async () => {
      const session = createSession(changed);
      await session.run({ x0: x });
      session.dispose();
    });
  }
});

it.skipIf(!built)("faults of the data met while running are CEC6008 and name the op", async () => {
  const gather = { kind: "gather", operands: [t("f32", [3], [1, 2, 3]), ints(1)] };
  const session = createSession(serialize(graphOf(gather)));
  await expect(session.run({ x0: gather.operands[0] as Tensor, x1: ints(3) })).rejects.toThrow(/CEC6008.*gather/s);
  session.dispose();
});

it.skipIf(!built)("an observer counts inputs, intermediate and folded tensors, the same for any split and thread count", async () => {
  const dims = [6, 2, 2, 3];
  const data = filled("f32", dims, 3, -5, 9);
  const graph = graphOf({ kind: "softplus", operands: [{ ...data, dims: [6, 12] }] });
  const bytes = serialize(graph);
  const y = graph.outputs[0]?.value.name as string;
  const reads = [];
  for (const threads of [1, 3]) {
    const session = createSession(bytes, { threads });
    const observer = createObserver(session, ["x0", y], { bins: 32, perChannel: true });
    await session.observe({ x0: { ...data, dims: [6, 12] } }, observer);
    reads.push(observer.read());
    session.dispose();
  }
  expect(reads[1]).toEqual(reads[0]);
  const seen = reads[0]?.["x0"];
  const values = Array.from(data.data as Float32Array);
  expect(seen?.count).toBe(72);
  expect(seen?.min).toBe(Math.min(...values));
  expect(seen?.max).toBe(Math.max(...values));
  expect(seen?.mean).toBeCloseTo(values.reduce((a, b) => a + b) / 72, 9);
  const { lo, hi, counts } = seen?.histogram ?? { lo: 0, hi: 0, counts: new Float64Array() };
  const width = (hi - lo) / counts.length;
  const want = new Float64Array(counts.length);
  for (const v of values) want[Math.floor((v - lo) / width)]! += 1;
  expect(counts).toEqual(want);
  const fifth = values.filter((_, i) => i % 12 === 5);
  expect(seen?.channelMax?.[5]).toBe(Math.max(...fifth));
  expect(seen?.channelMean?.[5]).toBeCloseTo(fifth.reduce((a, b) => a + b) / fifth.length, 9);
  expect(seen?.channelMeanSquare?.[5]).toBeCloseTo(fifth.reduce((a, b) => a + b * b, 0) / fifth.length, 9);
});

it.skipIf(!built)("cpuInfo names each kernel family once as selected", () => {
  const info = cpuInfo();
  expect(info.capIsValid).toBe(true);
  const families = new Set(info.kernels.map((k) => k.family));
  for (const family of families) expect(info.kernels.filter((k) => k.family === family && k.selected).length).toBe(1);
  expect(info.kernels.every((k) => !k.selected || k.supported)).toBe(true);
});

it("without the addon the message says how to build it", async () => {
  if (built) return;
  expect(await codeOf(() => createSession(new Uint8Array()))).toBe("CEC6009");
});
