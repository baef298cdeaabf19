/**
 * Writes the cases for the C++ tests and the fuzzer's corpus: for case n the program `n.cecb`, and `n.data.cecb`, a program without ops whose outputs are the
 * feeds (`x0`, …) and the results of the reference evaluation (`y0`, …).
 * Run by ctest: node --import tsx write-cases.ts FOLDER
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Graph } from "../../../compiler/core/ir/graph.js";
import { blobOf, type Tensor } from "../../../compiler/core/ir/tensor.js";
import { tensorType } from "../../../compiler/core/ir/types.js";
import { serialize } from "../../../runtime-native/ts/index.js";
import { cases } from "./cases.js";
import { graphOf, type NativeCase, reference } from "./support.js";

function dataOf(c: NativeCase, fed: readonly string[]): Graph {
  const g = new Graph("data");
  const add = (name: string, t: Tensor): void => g.addOutput(name, g.addConstant(`${name}.data`, tensorType(t.type, t.dims), blobOf(t)));
  for (const name of fed) add(name, c.operands[Number(name.slice(1))] as Tensor);
  reference(c).forEach((t, i) => {
    add(`y${i}`, t);
  });
  return g;
}

const folder = process.argv[2];
if (folder === undefined) throw new Error("usage: write-cases.ts FOLDER");
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
/** Kinds that prepare their weights when a program is loaded: their cases are written with constant weights too. */
const prepacked = /^(matmul|gemm|conv|conv_transpose|matmul_integer|conv_integer|qlinear_matmul|qlinear_conv|lstm|gru|rnn)$/;
const written = cases.flatMap((c): NativeCase[] => (prepacked.test(c.kind) ? [c, { ...c, constant: c.operands.map((_, i) => i).slice(1) }] : [c]));
written.forEach((c, n) => {
  const graph = graphOf(c);
  const name = join(folder, `${String(n).padStart(5, "0")}-${c.kind}`);
  writeFileSync(`${name}.cecb`, serialize(graph));
  const fed = graph.inputs.map((v) => v.name);
  writeFileSync(`${name}.data.cecb`, serialize(dataOf(c, fed)));
});
process.stdout.write(`${written.length} cases\n`);
