import { expect, it } from "vitest";
import { z } from "zod";
import {
  buildGraph,
  CecError,
  definePass,
  f32,
  formatPasses,
  type Graph,
  type Instrument,
  type PassCall,
  type PassDefinition,
  type PipelineOptions,
  printGraph,
  resolvePasses,
  runPipeline,
} from "../../../../compiler/core/index.js";
import { annotate, breaks, call, materialize, mergeRelu, throws } from "./passes.js";

const chain = (): Graph =>
  buildGraph("g", (b) => {
    let v = b.input("x", "f32[N, 4]");
    for (let i = 1; i <= 4; i++) v = b.value("relu", [v], {}, `r${i}`);
    b.output("y", v);
  });

async function errorOf(calls: PassCall[], options: PipelineOptions = {}, graph = chain()): Promise<CecError> {
  try {
    await runPipeline(graph, calls, options);
  } catch (e) {
    expect(e).toBeInstanceOf(CecError);
    return e as CecError;
  }
  throw new Error("the pipeline succeeded");
}

it("runs passes in order and reports patches, statistics and decisions", async () => {
  const g = chain();
  const result = await runPipeline(g, [call(mergeRelu), call(annotate, { bits: 4 })]);
  expect(g.opsOf("relu").map((op) => op.name)).toEqual(["r1"]);
  expect(g.outputs[0]?.value.producer?.name).toBe("r1");
  expect(result.passes.map(({ ms: _, ...rest }) => rest)).toEqual([
    { name: "merge-relu", patches: 3, statistics: { merged: 3 }, changed: true },
    { name: "annotate", patches: 1, statistics: {}, changed: true },
  ]);
  expect(result.patches.map((p) => `${p.number} ${p.pass} ${p.at}`)).toEqual([
    "1 merge-relu r2",
    "2 merge-relu r3",
    "3 merge-relu r4",
    "4 annotate r1",
  ]);
  expect(result.decisions).toEqual([{ pass: "merge-relu", op: "r1", kind: "relu", action: "left", reason: "its operand is no relu" }]);
  expect(g.level).toBe("annotated");
  expect(g.pipeline).toEqual(["merge-relu", "annotate"]);
  expect(g.opsOf("relu")[0]?.annotations).toEqual({ quant: { bits: 4 } });
  expect(formatPasses(result.passes)).toMatch(/^merge-relu +\d+\.\d ms +3 patches {2}merged=3\nannotate /);
});

it("says of a pass that ran already that it changed nothing", async () => {
  const result = await runPipeline(chain(), [call(mergeRelu), call(mergeRelu)]);
  expect(result.passes.map((p) => p.changed)).toEqual([true, false]);
});

it("sees a change that no patch recorded", async () => {
  const retype = definePass({
    name: "retype",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({}).strict(),
    statistics: {},
    run({ graph }) {
      graph.value("r1")!.type = { kind: "tensor", elem: "f32", shape: ["?", 4] };
    },
  });
  const result = await runPipeline(chain(), [call(retype)]);
  expect(result.passes[0]).toMatchObject({ patches: 0, changed: true });
});

it("refuses an order whose levels do not chain, naming both passes, before anything runs", async () => {
  const g = chain();
  const error = await errorOf([call(annotate), call(mergeRelu)], {}, g);
  expect(error.message).toMatch(
    /CEC4004: pass merge-relu cannot stand after annotate \(merge-relu takes graphs of level float, and annotate gives level annotated\)/,
  );
  expect(error.diagnostics[0]?.help).toBe("put merge-relu before annotate");
  expect(printGraph(g)).toBe(printGraph(chain()));
  expect((await errorOf([call(materialize), call(annotate)])).diagnostics[0]?.help).toBe("put materialize after annotate");
});

it("rejects options that the schema does not take", async () => {
  expect((await errorOf([call(annotate, { bits: "many" })])).message).toMatch(/CEC2006: pass annotate: `bits`/);
  expect((await errorOf([call(annotate, { bitz: 4 })])).message).toMatch(/CEC2006: .*bitz/);
});

it("expands statements that stand for several passes, and stops one that expands to itself", async () => {
  const both = definePass({
    name: "both",
    summary: "",
    from: "float",
    to: "annotated",
    keeps: "bit-exact",
    options: z.object({ bits: z.number().default(2) }).strict(),
    statistics: {},
    expand: ({ bits }) => [call(mergeRelu), call(annotate, { bits })],
  });
  const g = chain();
  const result = await runPipeline(g, [call(both)]);
  expect(result.passes.map((p) => p.name)).toEqual(["merge-relu", "annotate"]);
  expect(g.opsOf("relu")[0]?.annotations).toEqual({ quant: { bits: 2 } });
  const endless: PassDefinition = definePass({
    name: "endless",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({}).strict(),
    statistics: {},
    expand: () => [call(endless)],
  }) as PassDefinition;
  expect((await errorOf([call(endless)])).message).toMatch(/endless expands without end/);
});

it("calls an exception of ours a bug (exit 70) and one of a plug-in the plug-in's (exit 1)", async () => {
  const ours = await errorOf([call(throws)]);
  expect([ours.exitCode, ours.message]).toEqual([70, expect.stringMatching(/CEC9001: pass throws failed: broken x/)]);
  const theirs = await errorOf([call(throws)], { plugins: new Set(["throws"]) });
  expect([theirs.exitCode, theirs.message]).toEqual([1, expect.stringMatching(/CEC4009: pass throws failed: broken x/)]);
});

it("names the pass after which the verifier fails", async () => {
  const ours = await errorOf([call(mergeRelu), call(breaks)]);
  expect([ours.exitCode, ours.message]).toEqual([70, expect.stringMatching(/CEC9002: .* after pass breaks/)]);
  expect(ours.diagnostics[1]?.code).toBe("CEC4003");
  const theirs = await errorOf([call(breaks)], { plugins: new Set(["breaks"]) });
  expect([theirs.exitCode, theirs.diagnostics[0]?.code]).toEqual([1, "CEC4009"]);
  await expect(runPipeline(chain(), [call(breaks)], { verify: "off" })).resolves.toBeDefined();
});

it("refuses a source that breaks a rule already", async () => {
  const g = chain();
  g.value("r1")!.type = { kind: "tensor", elem: "i8", shape: ["N", 4] };
  const error = await errorOf([call(mergeRelu)], {}, g);
  expect([error.exitCode, error.message]).toEqual([1, expect.stringMatching(/CEC4003: .*before the first pass/)]);
});

it("lets what a pass rejects through as it is", async () => {
  const needs = definePass({
    name: "needs",
    summary: "",
    from: "float",
    to: "same",
    keeps: "lossy",
    options: z.object({}).strict(),
    statistics: {},
    run() {
      throw new CecError([{ code: "CEC4006", severity: "error", message: "samples, please" }]);
    },
  });
  const error = await errorOf([call(needs)]);
  expect([error.exitCode, error.message]).toEqual([1, "CEC4006: samples, please"]);
});

it("stops after the patch that was asked for", async () => {
  for (const [n, left] of [
    [0, 4],
    [1, 3],
    [3, 1],
  ] as const) {
    const g = chain();
    const result = await runPipeline(g, [call(mergeRelu), call(annotate)], { stopAfterPatch: n });
    expect([result.patches.length, g.opsOf("relu").length, result.stopped]).toEqual([n, left, true]);
    expect(g.level).toBe("float");
  }
  expect((await runPipeline(chain(), [call(mergeRelu)], { stopAfterPatch: 99 })).stopped).toBe(false);
});

it("gives a pass the same random numbers for the same seed and place, and others elsewhere", async () => {
  const drawn: number[] = [];
  const draw = definePass({
    name: "draw",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({}).strict(),
    statistics: {},
    run({ random }) {
      drawn.push(random());
    },
  });
  await runPipeline(chain(), [call(draw), call(draw)], { seed: 1 });
  await runPipeline(chain(), [call(draw)], { seed: 1 });
  await runPipeline(chain(), [call(draw)], { seed: 1, firstIndex: 2 });
  await runPipeline(chain(), [call(draw)], { seed: 2 });
  const [first, second, firstAgain, replayed, other] = drawn;
  expect(firstAgain).toBe(first);
  expect(replayed).toBe(second);
  expect(new Set([first, second, other]).size).toBe(3);
});

it("ends when the signal aborts, between passes and in one", async () => {
  const abort = new AbortController();
  const stop = definePass({
    name: "stop",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({ rude: z.boolean().default(false) }).strict(),
    statistics: {},
    run({ options }) {
      abort.abort();
      if (options.rude) throw new Error("aborted");
    },
  });
  expect((await errorOf([call(stop), call(mergeRelu)], { signal: abort.signal })).message).toMatch(
    /CEC1005: stopped at pass stop|CEC1005: stopped at pass merge-relu/,
  );
  expect((await errorOf([call(stop, { rude: true })], { signal: new AbortController().signal })).message).toMatch(/CEC9001/);
});

it("ends between two batches of calibration when the signal aborts", async () => {
  const abort = new AbortController();
  let seen = 0;
  const look = definePass({
    name: "look",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({}).strict(),
    statistics: {},
    async run({ calibration }) {
      for await (const _ of calibration?.batches() ?? []) if (++seen === 3) abort.abort();
    },
  });
  const calibration = {
    size: 100,
    async *batches() {
      for (let i = 0; i < 100; i++) yield {};
    },
  };
  expect((await errorOf([call(look)], { signal: abort.signal, calibration })).message).toBe("CEC1005: stopped in pass look");
  expect(seen).toBe(3);
});

it("tells instruments of every pass, in order, and of the failure", async () => {
  const seen: string[] = [];
  const spy: Instrument = {
    name: "spy",
    before: (_, step) => void seen.push(`before ${step.pass.name}`),
    after: (_, step, changed) => void seen.push(`after ${step.pass.name} ${changed}`),
    failed: (_, step) => {
      seen.push(`failed ${step.pass.name}`);
      return "a note";
    },
  };
  const silent: Instrument = {
    name: "silent",
    failed() {
      throw new Error("disk full");
    },
  };
  const error = await errorOf([call(mergeRelu), call(mergeRelu), call(throws)], { instruments: [spy, silent] });
  expect(seen).toEqual([
    "before merge-relu",
    "after merge-relu true",
    "before merge-relu",
    "after merge-relu false",
    "before throws",
    "failed throws",
  ]);
  expect(error.diagnostics.map((d) => d.message)).toEqual(["pass throws failed: broken x", "a note", "silent could not be written: disk full"]);
});

it("finds passes by name, with a suggestion for a name that is near", () => {
  const registry = new Map<string, PassDefinition>([["merge-relu", mergeRelu as unknown as PassDefinition]]);
  expect(resolvePasses([{ name: "merge_relu", options: {} }], registry)[0]?.pass.name).toBe("merge-relu");
  expect(() => resolvePasses([{ name: "merge-relo", options: {} }], registry)).toThrow(/CEC2004: there is no pass `merge-relo`/);
});

it("refuses a count of a statistic that the pass did not declare", async () => {
  const miscounts = definePass<string, Record<string, never>, string>({
    name: "miscounts",
    summary: "",
    from: "float",
    to: "same",
    keeps: "bit-exact",
    options: z.object({}).strict() as unknown as z.ZodType<Record<string, never>>,
    statistics: {},
    run({ count }) {
      count("made-up");
    },
  });
  expect((await errorOf([call(miscounts)])).message).toMatch(/declares no statistic made-up/);
  expect(f32([1], [1]).data[0]).toBe(1);
});
