import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cec, filesIn, interrupted, samples, smallNetOnnx, temporaryFolder, write } from "../support.js";

const folder = temporaryFolder();
write(folder, "net.onnx", smallNetOnnx());
write(folder, "x.npy", samples(40));
const quantize = (out: string, ...more: readonly string[]): readonly string[] => [
  "quantize",
  "net.onnx",
  "-o",
  out,
  "--calibrate",
  "x.npy",
  "--json",
  ...more,
];
interface Report {
  readonly passes: readonly { readonly name: string }[];
  readonly search: null | {
    readonly complete: boolean;
    readonly samples: number;
    readonly best: { readonly sqnr: number };
    readonly trials: readonly { readonly sqnr: number; readonly settings: object }[];
  };
}
const ran = (args: readonly string[]): Report => {
  const r = cec(folder, args);
  expect({ status: r.status, stderr: r.stderr }).toMatchObject({ status: 0 });
  return JSON.parse(r.stdout) as Report;
};
const names = (r: Report): string[] => r.passes.map((p) => p.name);

it("fast corrects biases after one run; accurate, the default, also learns the rounding", () => {
  expect(names(ran(quantize("fast.onnx", "--recipe", "fast")))).toEqual(expect.arrayContaining(["align-input", "correct-bias"]));
  const accurate = ran(quantize("accurate.onnx"));
  expect(names(accurate)).toEqual(expect.arrayContaining(["align-input", "round-weights", "correct-bias"]));
  expect(accurate.search).toBeNull();
});

it("best tries settings on held-back samples, keeps the best, and a second run takes its trials from the state file", () => {
  const first = ran(quantize("best.onnx", "--recipe", "best", "--budget", "600")).search;
  expect(first).toMatchObject({ complete: true, samples: 10 });
  expect(first?.trials.length).toBeGreaterThan(8);
  expect(first?.best.sqnr).toBe(Math.max(...(first?.trials.map((t) => t.sqnr) ?? [])));
  const state = filesIn(folder).find((f) => f.endsWith(".search.json")) as string;
  // A trial that the file holds is not run again: its figure is believed.
  const kept = JSON.parse(readFileSync(join(folder, state), "utf8"));
  kept.trials[1].sqnr = 500;
  write(folder, state, JSON.stringify(kept));
  const bytes = readFileSync(join(folder, "best.onnx"));
  const again = ran(quantize("best.onnx", "--recipe", "best", "--budget", "600")).search;
  expect(again?.best).toEqual(kept.trials[1]);
  expect(readFileSync(join(folder, "best.onnx")).equals(bytes)).toBe(false);
  // Trials of other data, or a damaged file, are not taken.
  write(folder, state, JSON.stringify({ key: kept.key, trials: [null] }));
  expect(ran(quantize("best.onnx", "--recipe", "best", "--budget", "1")).search?.best.sqnr).toBeLessThan(500);
  write(folder, state, JSON.stringify(kept));
  write(folder, "x.npy", samples(40, 7));
  expect(ran(quantize("best.onnx", "--recipe", "best", "--budget", "1")).search?.best.sqnr).toBeLessThan(500);
});

it("Ctrl-C ends the search, and the build goes on with the best so far", async () => {
  write(folder, "long.npy", samples(2000));
  const args = [
    "quantize",
    "net.onnx",
    "-o",
    "stopped.onnx",
    "--calibrate",
    "long.npy",
    "--recipe",
    "best",
    "--budget",
    "600",
    "--samples",
    "2000",
    "--json",
  ];
  const before = filesIn(folder)
    .filter((f) => f.endsWith(".search.json"))
    .map((f) => readFileSync(join(folder, f), "utf8"))
    .join();
  const changed = (): boolean =>
    filesIn(folder)
      .filter((f) => f.endsWith(".search.json"))
      .map((f) => readFileSync(join(folder, f), "utf8"))
      .join() !== before;
  const r = await interrupted(folder, args, "SIGINT", changed);
  expect(r.status).toBe(0);
  const { search } = JSON.parse(r.stdout) as Report;
  expect(search?.complete).toBe(false);
  expect(search?.trials.length).toBeGreaterThan(0);
  expect(filesIn(folder)).toContain("stopped.onnx");
});

it("many changed predictions are a warning where no requirement forbids them", () => {
  write(
    folder,
    "negate.mjs",
    `import { definePass, z } from ${JSON.stringify(new URL("../../../dist/bundle/index.js", import.meta.url).href)};
export const negate = definePass({
  name: "negate", summary: "Negate what the last op reads", from: "float", to: "same", keeps: "lossy", options: z.object({}).strict(), statistics: {},
  run({ graph, rewrite }) {
    const last = graph.outputs[0].value.producer;
    rewrite.patch(last, "its operand negated", (edit) => edit.setInput(last, 0, edit.insert("neg", [last.inputs[0]]).outputs[0]));
  },
});
`,
  );
  write(
    folder,
    "turned.cplan",
    `use "./negate.mjs"
data d { x: npy { path: "x.npy" } }
plan turned {
  source onnx "net.onnx"
  evaluate flips on d.x
  negate
  emit onnx "turned.onnx"
}
`,
  );
  const r = cec(folder, ["build", "turned.cplan"]);
  expect({ status: r.status, stderr: r.stderr }).toMatchObject({ status: 0 });
  expect(r.stderr).toContain("CEC7009");
  expect(r.stderr).toMatch(/\d+ of 40 predictions on d\.x differ from the source's/);
  expect(cec(folder, quantize("fine.onnx")).stderr).not.toContain("CEC7009");
});
