/**
 * Every golden case of a pass that promises to keep values is also run: the graph before and after on random operands, by the reference evaluation.
 * A CHECK section that its author read wrongly is found here.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import {
  compareTensors,
  constantTensor,
  flatten,
  type Graph,
  type Keeps,
  opDefinition,
  parseIrFile,
  parsePasses,
  resolvePasses,
  runPipeline,
  type Tensor,
} from "../../compiler/core/index.js";
import { passes } from "../../passes/index.js";
import { readCases } from "../golden/passes/runner.js";
import { evaluateGraph, randomFeeds } from "../unit/passes/support.js";

const here = fileURLToPath(new URL("../golden/passes/", import.meta.url));
const files = readdirSync(here, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".cir"));

/** What a pipeline keeps is what its weakest pass keeps. */
function keptBy(run: string): Keeps {
  const all = flatten(resolvePasses(parsePasses(run), passes)).map((s) => s.pass.keeps);
  return all.includes("lossy") ? "lossy" : all.includes("values") ? "values" : "bit-exact";
}

/** Constants of one graph that are inputs of the other. */
function parametersOf(before: Graph, after: Graph): Record<string, Tensor> {
  const found = after.inputs.map((v) => [v.name, constantTensor(before.value(v.name))] as const);
  return Object.fromEntries(found.filter((e): e is readonly [string, Tensor] => e[1] !== null));
}

/** Cases without a run: nothing to compare, or nothing that can be evaluated. */
const skipped: string[] = [];

for (const file of files.sort()) {
  for (const golden of readCases(file.replace(/\.cir$/, ""), readFileSync(join(here, file), "utf8"))) {
    const keeps = keptBy(golden.run);
    if (keeps === "lossy" || golden.expected?.kind !== "graph") continue;
    const before = parseIrFile(golden.source, { infer: true }).graph;
    const feeds = randomFeeds(before, 7);
    if (feeds === null || before.ops.some((op) => op.kind !== "constant" && opDefinition(op.kind)?.evaluate === undefined)) {
      skipped.push(golden.name);
      continue;
    }
    it(`${golden.name} keeps ${keeps === "values" ? "values" : "every bit"}`, async () => {
      const after = before.clone();
      await runPipeline(after, resolvePasses(parsePasses(golden.run), passes), { seed: 1 });
      for (const seed of [7, 8, 9]) {
        const operands = randomFeeds(before, seed) ?? {};
        // Training passes append outputs and inputs; parameters that became inputs have the values that they had.
        const more = { ...randomFeeds(after, seed), ...parametersOf(before, after), ...operands };
        const [a, b] = [await evaluateGraph(before, operands), await evaluateGraph(after, more)];
        expect(Object.keys(b)).toEqual(expect.arrayContaining(Object.keys(a)));
        for (const name of Object.keys(a))
          expect({ name, ...compareTensors(a[name] as Tensor, b[name] as Tensor, keeps) }).toMatchObject({ same: true });
      }
    });
  }
}

it("few golden cases cannot be run", () => {
  expect(skipped).toEqual([]);
});
