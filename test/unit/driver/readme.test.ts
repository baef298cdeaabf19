/** The example of the README runs as it stands. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { root, smallNetOnnx, temporaryFolder, write } from "../../e2e/support.js";

it("runs the README's example of the programmatic API", () => {
  const text = readFileSync(`${root}README.md`, "utf8");
  const code = /```js\n([\s\S]*?)```/.exec(text)?.[1];
  expect(code).toBeDefined();
  const folder = temporaryFolder();
  write(folder, "model.onnx", smallNetOnnx());
  // `cec` is the package itself: the example stands in a folder of its own, so the name is spelled out.
  const path = write(folder, "example.mjs", (code as string).replace('from "cec"', `from ${JSON.stringify(`${root}dist/bundle/index.js`)}`));
  const r = spawnSync(process.execPath, [path], { cwd: folder, encoding: "utf8" });
  expect(r.stderr).toBe("");
  expect(r.stdout).toContain("cir 1");
  expect(r.stdout).toContain("convs=2");
});
