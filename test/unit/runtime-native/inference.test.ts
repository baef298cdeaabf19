/** The JavaScript API over program files: shapes, copies, cancelling, batches, worker threads, disposal. Expected values are closed forms. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, expect, it } from "vitest";
import { CecError } from "../../../compiler/core/diagnostics/index.js";
import { Graph } from "../../../compiler/core/ir/graph.js";
import { inferGraph } from "../../../compiler/core/ir/infer.js";
import { blobOf } from "../../../compiler/core/ir/tensor.js";
import { tensorType, UNKNOWN } from "../../../compiler/core/ir/types.js";
import { nativeIsBuilt, serialize } from "../../../runtime-native/ts/index.js";
import { type Feed, type Output, Session, typesOf } from "../../../runtime-native/ts/inference.js";
import { filled } from "./support.js";

const built = nativeIsBuilt();
const folder = mkdtempSync(join(tmpdir(), "cec-inference-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "double.cecb");

/** y = x + x and neg = -x over [N, 3], N free. */
function double(batch: number | "N" = "N"): Uint8Array {
  const g = new Graph("double");
  const x = g.addInput("x", tensorType("f32", [batch, 3]));
  const sum = g.addOp({ kind: "add", inputs: [x, x], attrs: {}, types: [UNKNOWN], name: "sum" });
  const neg = g.addOp({ kind: "neg", inputs: [x], attrs: {}, types: [UNKNOWN], name: "neg" });
  inferGraph(g);
  g.addOutput("y", sum.outputs[0] as never);
  g.addOutput("neg", neg.outputs[0] as never);
  return serialize(g);
}

/** 200 products of 512x512 one after the other: long enough to be met in the middle. */
function long(): Uint8Array {
  const g = new Graph("long");
  let v = g.addInput("x", tensorType("f32", [512, 512]));
  const w = filled("f32", [512, 512], 3, -0.01, 0.01);
  const c = g.addConstant("w", tensorType("f32", [512, 512]), blobOf(w));
  for (let i = 0; i < 200; i++) v = g.addOp({ kind: "matmul", inputs: [v, c], attrs: {}, types: [UNKNOWN], name: `m${i}` }).outputs[0] as never;
  inferGraph(g);
  g.addOutput("y", v);
  return serialize(g);
}

beforeAll(() => writeFileSync(file, double()));

async function failure(body: () => unknown): Promise<{ code: string; message: string }> {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof CecError)) throw error;
    return { code: error.diagnostics[0]?.code ?? "", message: error.diagnostics[0]?.message ?? "" };
  }
  return { code: "", message: "" };
}

interface In {
  readonly x: Feed<Float32Array>;
}
interface Out {
  readonly y: Output<Float32Array>;
  readonly neg: Output<Float32Array>;
}

it.skipIf(!built)("a file, its URL and its bytes give the same results; ports are those of the model", async () => {
  for (const source of [file, pathToFileURL(file), double()]) {
    const session = await Session.load<In, Out>(source, { threads: 2 });
    expect(session.inputs).toEqual([{ name: "x", type: "f32", dims: [null, 3] }]);
    expect(session.outputs.map((p) => p.name)).toEqual(["y", "neg"]);
    const { y, neg } = await session.run({ x: Float32Array.of(1, 2, 3, 4, 5, 6) });
    expect(y).toEqual({ type: "f32", dims: [2, 3], data: Float32Array.of(2, 4, 6, 8, 10, 12) });
    expect(neg.data).toEqual(Float32Array.of(-1, -2, -3, -4, -5, -6));
    const one = await session.run({ x: { data: Float32Array.of(7, 8, 9), dims: [1, 3] } });
    expect(one.y.data).toEqual(Float32Array.of(14, 16, 18));
    session.dispose();
  }
});

it.skipIf(!built)("what cannot be loaded is refused with its path and cause", async () => {
  mkdirSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(folder, "empty.cecb"), "");
  writeFileSync(join(folder, "text.cecb"), "not a program at all, but longer than a header of one would be");
  writeFileSync(join(folder, "cut.cecb"), double().subarray(0, 100));
  const whole = double();
  const newer = whole.slice();
  newer[4] = 9;
  writeFileSync(join(folder, "newer.cecb"), newer);
  for (const [name, code] of [
    ["missing.cecb", "CEC6007"],
    ["sub", "CEC6007"],
    ["empty.cecb", "CEC6001"],
    ["text.cecb", "CEC6001"],
    ["cut.cecb", "CEC6001"],
    ["newer.cecb", "CEC6001"],
  ] as const) {
    const got = await failure(() => Session.load(join(folder, name)));
    expect([name, got.code]).toEqual([name, code]);
    expect(got.message).toContain(join(folder, name));
  }
  expect((await failure(() => Session.load(new Uint8Array(0)))).code).toBe("CEC6001");
  expect((await failure(() => Session.load(file, { isa: "sse9" }))).code).toBe("CEC6007");
  for (const threads of [0, -1, 1.5, 257, Number.NaN]) expect((await failure(() => Session.load(file, { threads }))).code).toBe("CEC6007");
  await expect(Session.load(7 as unknown as string)).rejects.toThrow();
});

it.skipIf(!built)("feeds and outputs that do not fit are refused by name; the session goes on", async () => {
  const session = await Session.load<In, Out>(file);
  const x = Float32Array.of(1, 2, 3);
  const hostile: [unknown, string][] = [
    [{}, 'the input "x" is missing'],
    [{ x, z: x }, 'no input "z"'],
    [{ x: Float32Array.of(1, 2) }, "a multiple of 3"],
    [{ x: Float64Array.of(1, 2, 3) }, "takes a Float32Array"],
    [{ x: [1, 2, 3] }, "takes a Float32Array"],
    [{ x: null }, "takes a Float32Array"],
    [{ x: { data: x, dims: [3, 1] } }, "do not fit"],
    [{ x: { data: x, dims: [2, 3] } }, "has 3 values"],
    [{ x: { data: x } }, "no list of whole numbers"],
    [null, "must be an object"],
  ];
  for (const [feeds, message] of hostile) {
    const got = await failure(() => session.run(feeds as In));
    expect([got.code, got.message]).toEqual(["CEC6005", expect.stringContaining(message)]);
  }
  const outputs = (o: unknown): Promise<{ code: string; message: string }> => failure(() => session.run({ x }, { outputs: o as never }));
  expect((await outputs({ q: x })).message).toContain('no output "q"');
  expect((await outputs({ y: new Float64Array(3) })).message).toContain("Float32Array");
  expect((await outputs({ y: new Float32Array(4) })).code).toBe("CEC6005");
  expect((await session.run({ x })).y.data).toEqual(Float32Array.of(2, 4, 6));
  session.dispose();
});

it.skipIf(!built)("given outputs are written in place, at any alignment and in shared memory", async () => {
  const session = await Session.load<In, Out>(file);
  const shared = new Float32Array(new SharedArrayBuffer(24), 4, 3);
  const memory = new ArrayBuffer(64);
  const y = new Float32Array(memory, 12, 3);
  const result = await session.run({ x: Float32Array.of(1, 2, 3) }, { outputs: { y, neg: shared } });
  expect(result.y.data).toBe(y);
  expect(result.neg.data).toBe(shared);
  expect([...new Float32Array(memory)]).toEqual([0, 0, 0, 2, 4, 6, ...new Array(10).fill(0)]);
  expect([...shared]).toEqual([-1, -2, -3]);
  const fed = new Float32Array(new SharedArrayBuffer(12));
  fed.set([5, 6, 7]);
  expect((await session.run({ x: fed })).y.data).toEqual(Float32Array.of(10, 12, 14));
  session.dispose();
});

it.skipIf(!built)("arrays that were transferred, dims that are no list, and wrong options are refused in the user's terms", async () => {
  const session = await Session.load<In, Out>(file);
  const gone = new Float32Array(3);
  structuredClone(gone, { transfer: [gone.buffer] });
  expect(await failure(() => session.run({ x: gone }))).toEqual({
    code: "CEC6005",
    message: 'the array of the input "x" is gone: it was transferred',
  });
  expect((await failure(() => session.runBatch([{ x: gone }]))).code).toBe("CEC6005");
  expect(await failure(() => session.run({ x: new Float32Array(3) }, { outputs: { y: gone } }))).toEqual({
    code: "CEC6005",
    message: 'the array for the output "y" is gone: it was transferred',
  });
  for (const dims of ["1,3", { length: 2 }, [1, "3"], [-1, -3], [1.5, 2], null])
    expect(await failure(() => session.run({ x: { data: new Float32Array(3), dims } as never }))).toEqual({
      code: "CEC6005",
      message: 'the dims of the input "x" are no list of whole numbers',
    });
  for (const signal of [{}, "stop", 5, null]) {
    const options = { signal } as never;
    const wrong = { code: "CEC6007", message: "the option `signal` is no AbortSignal" };
    expect(await failure(() => session.run({ x: new Float32Array(3) }, options))).toEqual(wrong);
    expect(await failure(() => session.runBatch([], options))).toEqual(wrong);
    expect(await failure(() => Session.load(file, options))).toEqual(wrong);
  }
  for (const threads of [1e9, "2", 2.5] as number[])
    expect((await failure(() => Session.load(file, { threads }))).message).toBe(`threads is ${threads}; it must be a whole number from 1 to 256`);
  // No sample is no fault.
  expect((await session.run({ x: new Float32Array(0) })).y.dims).toEqual([0, 3]);
  session.dispose();
});

it.skipIf(!built)("an aborted signal ends a run before it starts, in the queue and in the middle; others go on", async () => {
  const path = join(folder, "long.cecb");
  writeFileSync(path, long());
  const session = await Session.load(path);
  const x = new Float32Array(512 * 512).fill(1);
  const reason = new Error("no longer wanted");
  await expect(session.run({ x }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  await expect(Session.load(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);

  const middle = new AbortController();
  const queued = new AbortController();
  const first = session.run({ x }, { signal: middle.signal });
  const second = session.run({ x }, { signal: queued.signal });
  const third = session.run({ x });
  setTimeout(() => {
    queued.abort(reason);
    middle.abort(reason);
  }, 20);
  await expect(first).rejects.toBe(reason);
  await expect(second).rejects.toBe(reason);
  expect((await third)["y"]?.data.length).toBe(512 * 512);
  session.dispose();
});

it.skipIf(!built)("the event loop turns while a run is under way", async () => {
  const session = await Session.load(long());
  let ticks = 0;
  const timer = setInterval(() => {
    ticks++;
  }, 1);
  await session.run({ x: new Float32Array(512 * 512) });
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(3);
  session.dispose();
});

it.skipIf(!built)("a blocking run gives the same, keeps its turn, and its faults are the same", async () => {
  const session = await Session.load<In, Out>(file);
  const order: number[] = [];
  const runs = [false, true, false, true].map(async (blocking, i) => {
    const { y } = await session.run({ x: Float32Array.of(i, 2, 3) }, { blocking });
    order.push(i);
    return [...y.data];
  });
  expect(await Promise.all(runs)).toEqual([0, 1, 2, 3].map((i) => [2 * i, 4, 6]));
  expect(order).toEqual([0, 1, 2, 3]);
  expect((await failure(() => session.run({ x: new Float32Array(3) }, { blocking: true, outputs: { y: new Float32Array(4) } }))).code).toBe(
    "CEC6005",
  );
  session.dispose();
  const busy = await Session.load(long());
  let ticks = 0;
  const timer = setInterval(() => {
    ticks++;
  }, 1);
  await busy.run({ x: new Float32Array(512 * 512) }, { blocking: true });
  clearInterval(timer);
  expect(ticks).toBeLessThan(2);
  busy.dispose();
});

it.skipIf(!built)("runs that are waiting take place after dispose; later calls are refused", async () => {
  const session = await Session.load<In, Out>(file);
  const runs = [1, 2, 3].map((v) => session.run({ x: Float32Array.of(v, v, v) }));
  session.dispose();
  expect((await Promise.all(runs)).map((r) => r.y.data[0])).toEqual([2, 4, 6]);
  expect((await failure(() => session.run({ x: new Float32Array(3) }))).code).toBe("CEC6007");
  expect((await failure(() => session.arenaBytes)).code).toBe("CEC6007");
  session.dispose();
  await session[Symbol.asyncDispose]();
});

it.skipIf(!built)("runBatch and batcher give each sample its own result, whatever the size of the batches", async () => {
  const session = await Session.load<In, Out>(file);
  const samples = Array.from({ length: 11 }, (_, i) => ({ x: Float32Array.of(i, i + 0.5, -i) }));
  for (const maxBatch of [1, 4, 11, 64]) {
    const results = await session.runBatch(samples, { maxBatch });
    expect(results.map((r) => [...r.y.data])).toEqual(samples.map(({ x }) => [...x].map((v) => 2 * v)));
    expect(results.every((r) => r.neg.dims[0] === 1 && r.neg.dims[1] === 3)).toBe(true);
  }
  expect(await session.runBatch([])).toEqual([]);
  const batcher = session.batcher({ maxBatch: 4, maxDelayMs: 1 });
  const settled = await Promise.allSettled([...samples.slice(0, 6).map((s) => batcher.run(s)), batcher.run({ x: new Float32Array(5) })]);
  expect(settled.map((s) => s.status)).toEqual([...new Array(6).fill("fulfilled"), "rejected"]);
  settled.slice(0, 6).forEach((s, i) => {
    expect(s.status === "fulfilled" && s.value.neg.data[0]).toBe(-i);
  });
  expect((await failure(() => session.runBatch(samples, { maxBatch: 0 }))).code).toBe("CEC6007");
  session.dispose();
  const fixed = await Session.load<In, Out>(double(2 as never));
  expect((await failure(() => fixed.runBatch(samples))).message).toContain("its first dimension is fixed");
  fixed.dispose();
});

it.skipIf(!built)("worker threads have sessions of their own on the same file", async () => {
  const entry = new URL("../../../dist/bundle/runtime.js", import.meta.url).href;
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    (async () => {
      const { Session } = await import(${JSON.stringify(entry)});
      const session = await Session.load(workerData.file);
      let sum = 0;
      for (let i = 0; i < 50; i++) sum += (await session.run({ x: Float32Array.of(workerData.k, i, 0) })).y.data[0];
      session.dispose();
      parentPort.postMessage(sum);
    })();`;
  const sums = await Promise.all(
    [1, 2, 3, 4].map(
      (k) =>
        new Promise((resolve, reject) => {
          const worker = new Worker(source, { eval: true, workerData: { file, k } });
          worker.once("message", resolve);
          worker.once("error", reject);
        }),
    ),
  );
  expect(sums).toEqual([100, 200, 300, 400]);
});

it.skipIf(!built)("sessions that are loaded, run and disposed do not gather memory", async () => {
  const bytes = long();
  const round = async (): Promise<void> => {
    const session = await Session.load(bytes);
    await session.run({ x: new Float32Array(512 * 512) }, { signal: AbortSignal.timeout(100_000) });
    session.dispose();
    await session[Symbol.asyncDispose]();
  };
  for (let i = 0; i < 3; i++) await round();
  const before = process.memoryUsage().rss;
  // Each session holds 200 packed copies of 1 MiB: 5 that stayed would be 1 GB.
  for (let i = 0; i < 5; i++) await round();
  expect(process.memoryUsage().rss - before).toBeLessThan(500 * 2 ** 20);
});

it("types of inputs and outputs are TypeScript that names every port", () => {
  const text = typesOf({ inputs: [{ name: "input.1", type: "f32", dims: [null, 3] }], outputs: [{ name: "ids", type: "i64", dims: [1] }] }, "Net");
  expect(text).toContain('readonly "input.1": Feed<Float32Array>;');
  expect(text).toContain("readonly ids: Output<BigInt64Array>;");
  expect(text).toContain("export interface NetInputs");
});
