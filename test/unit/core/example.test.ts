import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { buildGraph, exportOnnx } from "../../../compiler/core/index.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));

it("the example of the core's documentation runs as it stands", () => {
  const doc = readFileSync(join(root, "compiler/core/index.ts"), "utf8");
  const code = doc
    .slice(doc.indexOf("@example") + 8, doc.indexOf(" */"))
    .split("\n")
    .map((l) => l.replace(/^ \* ?/, ""))
    .join("\n");
  const graph = buildGraph("tiny", (b) => {
    const x = b.input("x", "f32", ["N", 4]);
    b.output("y", b.value("relu", [b.value("relu", [x], {}, "first")], {}, "second"));
  });
  // Inside the package, so that zod is found.
  const folder = mkdtempSync(join(root, "test/.example-"));
  try {
    writeFileSync(join(folder, "example.ts"), code.replace('"cec/core"', '"../../compiler/core/index.js"'));
    writeFileSync(join(folder, "tiny.onnx"), exportOnnx(graph).bytes);
    const out = execFileSync(process.execPath, ["--import", "tsx", join(folder, "example.ts"), join(folder, "tiny.onnx")], {
      cwd: root,
      encoding: "utf8",
    });
    expect(out).toMatch(
      /^merge-relu +\d+\.\d ms +1 patch {2}merged=1\nfirst: left alone: its operand is no relu\ncir 1\n\/\/ pipeline: .*merge-relu\n/,
    );
    expect(out.match(/= relu/g)).toHaveLength(1);
    expect(out).toMatch(/in +%x : f32\[N, 4\]/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
