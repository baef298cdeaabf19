import { expect, it } from "vitest";
import { z } from "zod";
import {
  buildGraph,
  type CecError,
  definePass,
  dumpInstrument,
  type Executor,
  f32,
  type Graph,
  type Instrument,
  numericInstrument,
  type Op,
  type PassDefinition,
  parseIrFile,
  printGraph,
  reproducerInstrument,
  resolvePasses,
  runPipeline,
  unpackBlobs,
} from "../../../../compiler/core/index.js";
import { annotate, breaks, call, materialize, mergeRelu, throws, wrong } from "./passes.js";
import { referenceExecutor, samplesOf } from "./reference.js";

const model = (): Graph =>
  buildGraph("g", (b) => {
    const x = b.input("x", "f32[N, 2]");
    const a = b.value("relu", [b.value("relu", [x], {}, "r1")], {}, "r2");
    const s = b.value("add", [a, b.constant("c", f32([1], [1]))], {}, "sum");
    b.output("y", b.value("neg", [b.value("abs", [s], {}, "abs")], {}, "last"));
  });

const memory = (): { files: Map<string, string | Uint8Array>; write: (name: string, data: string | Uint8Array) => void } => {
  const files = new Map<string, string | Uint8Array>();
  return { files, write: (name, data) => void files.set(name, data) };
};

it.each([
  ["all", ["0000-source.cir", "0001-after-merge-relu.cir", "0002-after-merge-relu.cir", "0003-after-annotate.cir"]],
  ["changed", ["0000-source.cir", "0001-after-merge-relu.cir", "0003-after-annotate.cir"]],
  ["annotate", ["0000-source.cir", "0003-after-annotate.cir"]],
  ["merge_relu", ["0000-source.cir", "0001-after-merge-relu.cir", "0002-after-merge-relu.cir"]],
])("dumps %s as numbered files", async (which, names) => {
  const { files, write } = memory();
  const g = model();
  const source = printGraph(g);
  await runPipeline(g, [call(mergeRelu), call(mergeRelu), call(annotate)], { instruments: [dumpInstrument(which, write)] });
  expect([...files.keys()]).toEqual(names);
  expect(files.get("0000-source.cir")).toBe(source);
  if (which === "all") expect(files.get("0003-after-annotate.cir")).toBe(printGraph(g));
});

it.each([throws, breaks])("leaves a reproducer that fails in the same way when it is replayed: $name", async (pass) => {
  const { files, write } = memory();
  const run = async (g: Graph, calls: Parameters<typeof runPipeline>[1], instruments: Instrument[]): Promise<CecError> => {
    try {
      await runPipeline(g, calls, { instruments, seed: 5 });
    } catch (e) {
      return e as CecError;
    }
    throw new Error("no failure");
  };
  const options = pass === throws ? { how: "so" } : {};
  const first = await run(
    model(),
    [call(mergeRelu), call(pass as PassDefinition, options), call(annotate)],
    [reproducerInstrument(write, { seed: 5 })],
  );
  expect(first.diagnostics.at(-1)?.message).toMatch(/reproducer\.cir/);
  const file = parseIrFile(files.get("reproducer.cir") as string, {
    blobs: unpackBlobs(files.get("reproducer.blobs") as Uint8Array, "reproducer.blobs"),
  });
  expect(file.graph.pipeline).toEqual(["merge-relu"]);
  expect(file.run).toEqual([{ name: pass.name, options }]);
  expect(file.header).toContainEqual({ key: "index", value: "2" });
  expect(file.header).toContainEqual({ key: "seed", value: "5" });
  const registry = new Map([[pass.name as string, pass as unknown as PassDefinition]]);
  const again = await run(file.graph, resolvePasses(file.run, registry), []);
  expect(again.diagnostics[0]?.message).toBe(first.diagnostics[0]?.message);
});

const feeds = { x: f32([2, 2], [1, -2, 3, -0]) };

it("lets passes through that keep values", async () => {
  let runs = 0;
  const counting: Executor = {
    ...referenceExecutor,
    prepare: (graph, options) => {
      runs++;
      return referenceExecutor.prepare(graph, options);
    },
  };
  await runPipeline(model(), [call(mergeRelu), call(mergeRelu), call(annotate), call(materialize)], {
    verify: "numeric",
    executor: counting,
    calibration: samplesOf(feeds),
  });
  // Before and after merge-relu, after annotate (its before is known); nothing for the pass without changes and the lossy one.
  expect(runs).toBe(3);
});

it("names the first op that differs after a pass that does not keep its promise", async () => {
  const failure = runPipeline(model(), [call(mergeRelu), call(wrong)], {
    verify: "numeric",
    executor: referenceExecutor,
    calibration: samplesOf(feeds),
  });
  await expect(failure).rejects.toThrow(
    /CEC4005: pass wrong promises to keep values \(values\) and changes output "y"; the first op that differs is add "sum"/,
  );
  await expect(failure).rejects.toMatchObject({ exitCode: 1, diagnostics: [{ at: { node: "sum" } }] });
});

it("does not blame a value that now rightly stands for a later one", async () => {
  const g = buildGraph("g", (b) => {
    const a = b.value("add", [b.input("x", "f32[N, 2]"), b.constant("c", f32([1], [1]))], {}, "a");
    const sum = b.value("add", [a, b.constant("d", f32([1], [2]))], {}, "b");
    b.output("y", b.value("exp", [b.value("neg", [sum], {}, "n")], {}, "last"));
  });
  // %a takes over what %b gave, as a folded convolution does with the normalization after it; the op "n" is made wrong.
  const fold = definePass({
    name: "fold",
    summary: "",
    from: "float",
    to: "same",
    keeps: "values",
    options: z.object({}).strict(),
    statistics: {},
    run({ graph, rewrite }) {
      const [a, b, n] = ["a", "b", "n"].map((name) => graph.value(name)!.producer!) as [Op, Op, Op];
      rewrite.patch(a, "fold", (edit) => {
        edit.setInput(a, 1, edit.constant("e", f32([1], [3])));
        edit.replaceAllUses(b.outputs[0]!, a.outputs[0]!);
      });
      rewrite.patch(n, "wrong on purpose", (edit) => {
        const made = edit.insert("abs", [a.outputs[0]!], { name: "n" });
        edit.replaceAllUses(n.outputs[0]!, made.outputs[0]!);
        edit.eraseDead(n);
      });
    },
  });
  const failure = runPipeline(g, [call(fold)], { instruments: [numericInstrument(referenceExecutor, samplesOf(feeds))] });
  await expect(failure).rejects.toThrow(/the first op that differs is abs "n"/);
});

it("asks for samples and an engine before anything runs", async () => {
  await expect(runPipeline(model(), [], { verify: "numeric", executor: referenceExecutor })).rejects.toThrow(/CEC4006: .*no calibration data/);
  await expect(runPipeline(model(), [], { verify: "numeric", calibration: samplesOf(feeds) })).rejects.toThrow(/CEC4006: .*no engine/);
  const empty = runPipeline(model(), [call(mergeRelu)], { verify: "numeric", executor: referenceExecutor, calibration: samplesOf() });
  await expect(empty).rejects.toThrow(/CEC4006: .*no sample/);
});

it("holds an annotated graph against the float graph as one: executors fuse and round the levels differently", async () => {
  const levels: string[] = [];
  const executor: Executor = {
    ...referenceExecutor,
    async prepare(graph, options) {
      levels.push(graph.level);
      return referenceExecutor.prepare(graph, options);
    },
  };
  const g = model();
  await runPipeline(g, [call(annotate)], { instruments: [numericInstrument(executor, samplesOf(feeds))] });
  expect(g.level).toBe("annotated");
  expect(levels).toEqual(["float", "float"]);
});

it("can be used as an instrument of its own", async () => {
  const numeric = numericInstrument(referenceExecutor, samplesOf(feeds), 1);
  await expect(runPipeline(model(), [call(wrong)], { instruments: [numeric] })).rejects.toThrow(/CEC4005/);
});
