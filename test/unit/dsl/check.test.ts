import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { fail } from "../../../compiler/core/diagnostics/index.js";
import { type CheckedFile, checkFile, checkText, elaborate } from "../../../dsl/index.js";
import { declarations, traceSink } from "./declarations.js";

const dir = mkdtempSync(join(tmpdir(), "cec-dsl-"));
afterAll(() => rmSync(dir, { recursive: true }));

const write = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const said = (file: CheckedFile): string[] => file.diagnostics.map((d) => `${d.code} ${d.message}`);

it("a file is read with its imports, and paths are meant from the file that holds them", async () => {
  write("data.cplan", 'data d = image_folder { path: "pictures" }');
  const path = write("plan.cplan", 'import "./data.cplan"\nplan p { source onnx "a.onnx"\n calibrate d }');
  const file = await checkFile(path, { declarations });
  expect(said(file)).toEqual([]);
  expect(file.plans.get("p")?.source).toMatchObject({ kind: "file", path: join(dir, "a.onnx") });
  expect(file.data.get("d")).toMatchObject({ baseDir: dir, options: { path: "pictures" } });
  expect([...file.sources.keys()]).toEqual([path, join(dir, "data.cplan")]);
});

it("a file that is missing, a folder, a device or too large is rejected", async () => {
  const large = write("large.cplan", "");
  truncateSync(large, 1 << 30);
  for (const [path, why] of [
    [join(dir, "none.cplan"), /ENOENT/],
    [dir, /no regular file/],
    ["/dev/zero", /no regular file/],
    [large, /1073741824 bytes/],
  ] as const) {
    const file = await checkFile(path, { declarations });
    expect(file.diagnostics.map((d) => d.code)).toEqual(["CEC2008"]);
    expect(file.diagnostics[0]?.why).toMatch(why);
  }
});

it("spans cover what they name, in lines, columns and offsets", async () => {
  const text = '// é\nplan p {\n\tsource onnx "a"\n\tfuse { a: 1 }\n}';
  const [d] = (await checkText(text, "/x.cplan", { declarations })).diagnostics;
  expect(d?.span).toEqual({ file: "/x.cplan", start: { line: 4, column: 9, offset: 39 }, end: { line: 4, column: 10, offset: 40 } });
  expect(text.slice(39, 40)).toBe("a");
});

it("plans and models with faults are left out, and the others are there", async () => {
  const file = await checkText(
    'plan a { fuse }\nplan b { source onnx "x" }\nmodel m { output y }\nmodel n { input x: f32[1]\n output x }',
    "/x.cplan",
    { declarations },
  );
  expect([...file.plans.keys()]).toEqual(["b"]);
  expect([...file.models.keys()]).toEqual(["n"]);
});

it("without a loader a plug-in is a fault", async () => {
  expect(said(await checkText('use "./a.js"', "/x.cplan", { declarations }))).toEqual(["CEC2016 plug-ins cannot be loaded here"]);
});

const model = await checkText(
  "model m(width, depth = 2) {\n  input x: f32[N, 4]\n  repeat depth { x = x |> linear(width) }\n  output x\n}",
  "/m.cplan",
  { declarations },
);

it("a model runs with the arguments given and the defaults of the others", () => {
  const { sink, lines } = traceSink();
  expect(elaborate(model, "m", { width: 8 }, sink, (d) => fail(d.code, d))).toBe(true);
  expect(lines).toEqual([
    "in x: f32[N, 4]",
    "linear_1 = linear x {features: 8, bias: true}",
    "linear_2 = linear linear_1 {features: 8, bias: true}",
    "out x = linear_2",
  ]);
});

it("arguments that are missing, unknown or of the wrong kind are faults, and so is a model that is not there", () => {
  const run = (name: string, args: Record<string, number | string>): string[] => {
    const found: string[] = [];
    expect(elaborate(model, name, args, traceSink().sink, (d) => found.push(`${d.code} ${d.message} @${d.span?.start.line}`))).toBe(false);
    return found;
  };
  expect(run("m", {})).toEqual(["CEC2011 model m needs `width` @1"]);
  expect(run("m", { width: 1, wdith: 2 })).toEqual(["CEC2011 model m has no parameter `wdith` @1"]);
  expect(run("m", { width: "a" })).toEqual(["CEC2006 `features` takes a number, and this is `a` @3"]);
  expect(run("nn", {})).toEqual(["CEC2012 there is no model `nn` @undefined"]);
});

it("bugs of a sink are not taken for faults of the user", () => {
  const { sink } = traceSink();
  const broken = {
    ...sink,
    layer: () => {
      throw new TypeError("a bug");
    },
  };
  expect(() => elaborate(model, "m", { width: 8 }, broken, () => {})).toThrow("a bug");
});
